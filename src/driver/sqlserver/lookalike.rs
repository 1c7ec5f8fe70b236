//! Recognizes servers that speak SQL Server's protocol and are another product. `connect`, the checks and `provision`
//! use it.

use crate::plain_text::one_line;

/// The expression for the product's text, which [`lookalike`] reads.
pub(super) const PRODUCT: &str = "CONVERT(nvarchar(300), @@VERSION)";

/// `@@VERSION` begins like this in all of Microsoft's servers and services.
const VENDOR: &str = "Microsoft ";
/// Messages cut a longer name.
const LONGEST: usize = 60;

/// The product's name, if the server is not SQL Server. `babelfish` is the answer of `SERVERPROPERTY`. A server without
/// an answer counts as SQL Server.
pub(super) fn lookalike(babelfish: bool, product: &str) -> Option<String> {
    if babelfish {
        return Some("Babelfish".to_owned());
    }
    let name = product.lines().next().unwrap_or_default();
    // The text after the dash is a version.
    let name = one_line(name.split(" - ").next().unwrap_or_default().trim());
    let is_vendors = name.is_empty() || name.starts_with(VENDOR);
    (!is_vendors).then(|| name.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microsofts_servers_and_silent_ones_are_not_lookalikes() {
        for product in
            ["Microsoft SQL Server 2022 (RTM) - 16.0.1000.6 (X64) \n\tOct", "Microsoft SQL Azure (RTM) - 12.0", ""]
        {
            assert_eq!(lookalike(false, product), None, "{product}");
        }
    }

    #[test]
    fn a_lookalike_is_named() {
        let said = "Babelfish for PostgreSQL with SQL Server Compatibility - 12.0.2000.8\nNov 29 2026";
        assert_eq!(lookalike(true, said).unwrap(), "Babelfish");
        assert_eq!(lookalike(false, said).unwrap(), "Babelfish for PostgreSQL with SQL Server Compatibility");
        assert_eq!(lookalike(false, "Tiny\tTDS 1.0\r\nmore").unwrap(), one_line("Tiny\tTDS 1.0"));
        assert_eq!(lookalike(false, &"x".repeat(100)).unwrap().len(), LONGEST);
    }
}

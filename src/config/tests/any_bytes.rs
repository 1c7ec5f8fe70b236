//! Arbitrary bytes, and valid files with damage.

use proptest::prelude::*;

use super::*;

/// Passwords in every place that accepts one.
fn valid() -> Vec<u8> {
    let text = switched_on()
        .replace("file = \"/run/secrets/orders-admin\"", "command = [\"vault\", \"--token=hunter2\"]")
        .replace("{ file = \"/run/secrets/orders\" }", "\"hunter2\"")
        .replace("postgres://replica-1/", "postgres://u:other-hunter2@replica-1/")
        .replace("password = \"hunter2\"              #", "#");
    text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").into_bytes()
}

fn load_bytes(bytes: &[u8]) -> Result<Settings, LoadError> {
    let (_directory, main) = directory(&[("f.toml", bytes)]);
    load_file_with(&main, &[])
}

/// Everything that a program could print of the result.
fn printed(result: &Result<Settings, LoadError>) -> String {
    match result {
        Ok(settings) => format!("{settings:?} {}", show(settings, &drivers())),
        Err(error) => format!("{error:?} {error}"),
    }
}

#[test]
fn the_file_to_mutate_is_valid_before_the_mutation() {
    assert_eq!(load_bytes(&valid()).map(|settings| settings.targets.len()), Ok(1));
}

proptest! {
    #[test]
    fn are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(load_bytes(&bytes).is_err());
    }

    #[test]
    fn in_a_valid_file_never_make_it_leak_a_password(
        at in any::<prop::sample::Index>(),
        length in 0usize..3,
        put in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = valid();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, put);
        let result = load_bytes(&bytes);
        // Without its colon, what was a password is a user name.
        let users = result.iter().flat_map(|settings| &settings.targets).flat_map(|target| &target.replicas);
        let is_user = users.filter_map(|replica| replica.endpoint.url.user()).any(|user| user.contains("hunter2"));
        prop_assume!(!is_user);
        prop_assert!(!printed(&result).contains("hunter2"), "{}", printed(&result));
    }

    #[test]
    fn cut_off_from_a_valid_file_never_make_it_leak_a_password(at in any::<prop::sample::Index>()) {
        let bytes = valid();
        let result = load_bytes(&bytes[..at.index(bytes.len())]);
        prop_assert!(!printed(&result).contains("hunter2"), "{}", printed(&result));
    }
}

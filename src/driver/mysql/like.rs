//! SQL's LIKE, as servers use it for names of databases in grants and in replication filters. `grants` and
//! `replication_filters` call it.

/// A pattern: `%` matches any text, `_` any character, and a backslash makes the next character literal.
pub(super) struct Pattern(Vec<Piece>);

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Is(char),
    One,
    Any,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        let mut characters = pattern.chars();
        let mut pieces = Vec::new();
        while let Some(c) = characters.next() {
            pieces.push(match c {
                '\\' => Piece::Is(characters.next().unwrap_or('\\')),
                '_' => Piece::One,
                '%' => Piece::Any,
                c => Piece::Is(c),
            });
        }
        Self(pieces)
    }

    /// How exact the pattern is: the later its first wildcard, the more exact.
    pub(super) fn exactness(&self) -> usize {
        self.0.iter().position(|piece| !matches!(piece, Piece::Is(_))).unwrap_or(usize::MAX)
    }

    /// Whether a text matches. The steps are at most pieces times characters, because any user may write a server's
    /// patterns.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // The lengths of the beginnings of the text that the pieces so far match.
        let mut lengths = vec![false; text.len() + 1];
        lengths[0] = true;
        for piece in &self.0 {
            let before = lengths.clone();
            for length in 0..lengths.len() {
                let shorter = || length.checked_sub(1);
                lengths[length] = match piece {
                    Piece::Is(c) => shorter().is_some_and(|shorter| before[shorter] && text[shorter] == *c),
                    Piece::One => shorter().is_some_and(|shorter| before[shorter]),
                    Piece::Any => before[length] || shorter().is_some_and(|shorter| lengths[shorter]),
                };
            }
        }
        lengths[text.len()]
    }
}

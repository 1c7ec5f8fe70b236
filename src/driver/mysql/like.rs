//! SQL's LIKE, as servers use it for names of databases in grants and in replication filters. `grants` and
//! `replication_filters` call it.

/// A pattern: `%` is any text, `_` any character, a backslash takes the next one as it is.
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

    /// How exact it is: the later the first wildcard, the more.
    pub(super) fn exactness(&self) -> usize {
        self.0.iter().position(|piece| !matches!(piece, Piece::Is(_))).unwrap_or(usize::MAX)
    }

    /// Whether a text fits, in at most as many steps as pieces times characters: a server's patterns may be anybody's.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of the text the pieces so far fit, by length.
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

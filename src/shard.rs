//! Chooses a daemon's share of the targets, by name alone. Used by `cli` and `commands`.

use std::fmt;
use std::str::FromStr;

use crate::stable_hash::stable_hash;

/// Far more than the number of daemons in practice, and little work for each target.
const MOST: u32 = 4096;

/// One of several shards. Each target belongs to exactly one of them. An additional shard takes targets from the
/// others, and moves none between those (rendezvous hashing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: u32,
    /// At least one, at most [`MOST`].
    count: u32,
}

impl Shard {
    /// Whether the target of this name belongs to this shard.
    #[must_use]
    pub fn owns(self, name: &str) -> bool {
        (0..self.count).max_by_key(|shard| claim(*shard, name)) == Some(self.index)
    }
}

/// How strongly a shard claims a target; the strongest claim is the owner's.
fn claim(shard: u32, name: &str) -> u64 {
    // The shard first, so that the name's bytes spread the difference.
    stable_hash(&[&shard.to_le_bytes(), name.as_bytes()].concat())
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        let Some((index, count)) = parts else {
            return Err("expected INDEX/COUNT, as in 0/4".to_owned());
        };
        match (index, count) {
            (_, 0) => Err("there is at least one shard".to_owned()),
            (_, count) if count > MOST => Err(format!("there are at most {MOST} shards")),
            (index, count) if index >= count => {
                Err(format!("shards count from 0: the last of {count} is {}", count - 1))
            }
            (index, count) => Ok(Self { index, count }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shards(count: u32) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    /// The shard, of this many, that owns the target.
    fn owner(name: &str, count: u32) -> u32 {
        let owners: Vec<_> = shards(count).filter(|shard| shard.owns(name)).collect();
        assert_eq!(owners.len(), 1, "{name:?} of {count}: {owners:?}");
        owners[0].index
    }

    proptest! {
        #[test]
        fn every_target_has_one_owner_and_a_further_shard_moves_only_what_it_takes(
            name in ".{0,40}", count in 1_u32..20,
        ) {
            let (before, after) = (owner(&name, count), owner(&name, count + 1));
            prop_assert!(after == before || after == count, "{name:?} moves from {before} to {after} of {}", count + 1);
        }

        #[test]
        fn a_thousand_targets_spread_over_two_shards_and_a_third_takes_about_a_third(
            stem in "[a-z]{0,12}[-_.]?", first in 0_u32..100_000,
        ) {
            let names: Vec<_> = (first..first + 1_000).map(|number| format!("{stem}{number}")).collect();
            let in_first = names.iter().filter(|name| owner(name, 2) == 0).count();
            prop_assert!((400..=600).contains(&in_first), "{in_first} of 1,000 are in the first of two");
            let moved = names.iter().filter(|name| owner(name, 2) != owner(name, 3)).count();
            prop_assert!((250..=420).contains(&moved), "{moved} of 1,000 move");
        }
    }

    #[test]
    fn an_invalid_shard_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "expected INDEX/COUNT"),
            ("1", "expected INDEX/COUNT"),
            ("-1/2", "expected INDEX/COUNT"),
            ("a/b", "expected INDEX/COUNT"),
            ("0/0", "at least one"),
            ("4/4", "the last of 4 is 3"),
            ("0/5000", "at most 4096"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
    }
}

//! A hash that is the same on every machine and in every release: phases of schedules, shards and fingerprints depend
//! on it. `time::ticks`, `config` and `check::report` call it.

/// FNV-1a with its bits mixed, written out because the standard library's hasher may change between releases.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    // FNV's high bits differ little between short names.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes() {
        // A change would move every phase, every shard and every fingerprint at the next upgrade.
        let hashes = ["", "orders", "größer"].map(|text| stable_hash(text.as_bytes()));
        assert_eq!(hashes, [17_058_014_651_485_797_458, 14_890_784_073_112_755_997, 6_619_823_951_771_563_798]);
    }
}

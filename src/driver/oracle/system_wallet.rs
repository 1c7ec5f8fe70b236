//! Gives the client in Rust the certificate authorities that this machine trusts. Only `thin` uses it, for each login.
//!
//! The client reads authorities only from a file `ewallet.pem` in a folder. So this makes a folder with a link of that
//! name to the machine's file. The folder lasts as long as the login, so the next login sees a file that was replaced.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that is writable even if the root file system is read-only; an alternative to the one for temporary files
/// (`TMPDIR`).
const IN_MEMORY: &str = "/dev/shm";

/// A wallet with the machine's authorities. Dropping it removes it.
#[derive(Debug)]
pub(super) struct SystemWallet(TempDir);

impl SystemWallet {
    /// Makes the wallet; `None` on a machine without a file of authorities.
    ///
    /// # Errors
    /// The system's error, if no folder can be made.
    pub(super) fn make() -> io::Result<Option<Self>> {
        let folders = [std::env::temp_dir(), PathBuf::from(IN_MEMORY)];
        openssl_probe::probe().cert_file.map(|file| Self::make_in(&folders, &file)).transpose()
    }

    /// Makes the wallet in the first of these folders where that is possible.
    fn make_in(folders: &[PathBuf], file: &Path) -> io::Result<Self> {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for folder in folders {
            match Self::make_at(folder, file) {
                Ok(made) => return Ok(made),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn make_at(folder: &Path, file: &Path) -> io::Result<Self> {
        // The folder's name cannot be guessed, and only its owner can enter it.
        let owner = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("heartbeatd-").permissions(owner).tempdir_in(folder)?;
        symlink(file, folder.path().join("ewallet.pem"))?;
        Ok(Self(folder))
    }

    /// The folder.
    pub(super) fn folder(&self) -> String {
        self.0.path().display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wallet_is_made_where_that_is_possible_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authorities.crt");
        std::fs::write(&file, "the authorities").unwrap();
        let missing = folder.path().join("missing");
        let wallet = SystemWallet::make_in(&[missing.clone(), folder.path().to_owned()], &file).unwrap();
        let place = PathBuf::from(wallet.folder());
        assert_eq!(std::fs::read_to_string(place.join("ewallet.pem")).unwrap(), "the authorities");
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
        drop(wallet);
        assert!(!place.exists() && file.exists());
        assert_eq!(SystemWallet::make_in(&[missing], &file).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

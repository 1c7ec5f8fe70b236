//! The authorities that this machine trusts, as the client in Rust reads them. Used by `thin` alone, for each login.
//!
//! The client takes authorities from the file `ewallet.pem` of a folder and from nowhere else, so a folder is made that holds
//! a link of that name to the machine's file. It lives as long as the login: what is replaced is used by the next one.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where a folder can be made even if the root is read-only, besides the folder for temporary files (`TMPDIR`).
const IN_MEMORY: &str = "/dev/shm";

/// A wallet with the machine's authorities; dropping it removes it.
#[derive(Debug)]
pub(super) struct SystemWallet(TempDir);

impl SystemWallet {
    /// Makes the wallet; `None` on a machine without a file of authorities.
    ///
    /// # Errors
    /// If no folder can be made: the system's error.
    pub(super) fn make() -> io::Result<Option<Self>> {
        let folders = [std::env::temp_dir(), PathBuf::from(IN_MEMORY)];
        openssl_probe::probe().cert_file.map(|file| Self::make_in(&folders, &file)).transpose()
    }

    /// Makes it in the first of these folders where that is possible.
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
        // Its name cannot be guessed, and its owner alone may enter it.
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

//! Files of this program's own in folders that others may write to too: opened only if they are no links, and made only where
//! nothing stands, so that nobody can have it write over a file somewhere else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file as `options` say, and never through a link; a pipe keeps nobody waiting.
///
/// # Errors
/// As [`OpenOptions::open`]; a link at this name.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    options.custom_flags(flags).open(path).map_err(|error| if is_link(path) { refusal(path) } else { error })
}

/// Makes a new file; what stands there, a link itself and not what it leads to, is removed first.
///
/// # Errors
/// A folder at this name, and files that cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    let new = || OpenOptions::new().read(true).write(true).create_new(true).open(path);
    match new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            new()
        }
        made => made,
    }
}

/// Refuses a link at a name that this program writes to.
///
/// # Errors
/// A link.
pub fn refuse_link(path: &Path) -> io::Result<()> {
    if is_link(path) { Err(refusal(path)) } else { Ok(()) }
}

/// Whether a file that is open is the one at this name, and no link leads there.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// An error if a file that is open was removed by somebody.
///
/// # Errors
/// It was.
pub fn check_there(file: &File) -> io::Result<()> {
    if file.metadata()?.nlink() == 0 {
        let text = "the file was removed while it was written to; what it held is lost";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(())
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink())
}

fn refusal(path: &Path) -> io::Error {
    let path = path.display();
    let text = format!(
        "{path}: expected a file or folder of zoo's own, found a link, which is not followed; remove it"
    );
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("theirs"), folder.path().join("ours"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        let refused = open(OpenOptions::new().append(true).create(true), &link).unwrap_err();
        assert!(refused.to_string().contains("found a link"), "{refused}");
        assert!(refuse_link(&link).is_err() && refuse_link(&target).is_ok());
        create(&link).unwrap().write_all(b"new").unwrap();
        assert_eq!(
            (fs::read(&target).unwrap(), fs::read(&link).unwrap()),
            (b"precious".to_vec(), b"new".to_vec())
        );
        // One that leads nowhere would make a file there.
        let (nowhere, link) = (folder.path().join("nowhere"), folder.path().join("another"));
        symlink(&nowhere, &link).unwrap();
        assert!(open(OpenOptions::new().write(true).create(true), &link).is_err() && !nowhere.exists());
    }

    #[test]
    fn a_file_is_known_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap() && check_there(&file).is_ok());
        let other = create(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap() && is_at(&other, &path).unwrap());
        assert!(check_there(&file).unwrap_err().to_string().contains("was removed"));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&other, &path).unwrap());
    }
}

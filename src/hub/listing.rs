//! Contents of a repository: its commit and its files with sizes and digests, from the hub's API.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;

use super::digest::Promise;
use super::http::{Deadline, Http, Wanted};
use super::{HubError, names};
use crate::base::digest::is_hex;

const MAX_PAGE_BYTES: u64 = 32 << 20;
const MAX_PAGES: usize = 1000;
const MAX_FILES: usize = 500_000;
/// Pages without a file before one gives up.
const MAX_EMPTY: usize = 10;
/// How many times as long as for one question one waits for all pages together.
const LISTING: u32 = 4;

/// The two kinds of repositories that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RepoKind {
    Model,
    Dataset,
}

/// A repository at a revision.
#[derive(Debug, Clone)]
pub(super) struct Repo<'a> {
    pub kind: RepoKind,
    /// `organisation/name`, checked.
    pub id: &'a str,
    /// A branch, tag or commit.
    pub revision: &'a str,
}

/// A file of a repository; its path is safe to join to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFile {
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub digest: Promise,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
}

#[derive(Deserialize)]
struct TreeEntry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Repo<'_> {
    /// The repository, or a file of it, in words.
    pub(super) fn wanted(&self, http: &Http<'_>, file: Option<&str>) -> Wanted {
        let kind = if self.kind == RepoKind::Model { "model" } else { "data set" };
        let at = if self.revision == "main" { String::new() } else { format!(" at {}", self.revision) };
        let file = file.map_or(String::new(), |file| format!("{file} of "));
        let what = format!("{file}{kind} {}{at}", self.id);
        Wanted { what, page: http.url(self.prefix().into_iter().chain(self.id.split('/'))).into() }
    }

    fn prefix(&self) -> Option<&'static str> {
        (self.kind == RepoKind::Dataset).then_some("datasets")
    }

    /// The address of a file.
    pub(super) fn file_url(&self, http: &Http<'_>, commit: &str, path: &str) -> Url {
        let repo = self.prefix().into_iter().chain(self.id.split('/'));
        http.url(repo.chain(["resolve", commit]).chain(path.split('/')))
    }

    fn api_url(&self, http: &Http<'_>, verb: &str, revision: &str) -> Url {
        let kinds = if self.kind == RepoKind::Model { "models" } else { "datasets" };
        http.url(["api", kinds].into_iter().chain(self.id.split('/')).chain([verb, revision]))
    }

    /// The commit that the revision stands for now: all further requests name it, so that the files
    /// belong together.
    pub(super) fn commit(&self, http: &Http<'_>) -> Result<String, HubError> {
        let wanted = self.wanted(http, None);
        let url = self.api_url(http, "revision", self.revision);
        let (info, _): (Info, _) =
            http.json(&url, MAX_PAGE_BYTES, &wanted, &Deadline::new(http.config.patience))?;
        if is_hex(&info.sha, 40) {
            return Ok(info.sha);
        }
        let found = format!("{:?}", names::printable(&info.sha, 60));
        Err(HubError::bad_answer(&wanted.what, "a commit of 40 hex digits", found))
    }

    /// All files at a commit, sorted by path. One unsafe name spoils the whole list.
    pub(super) fn files(&self, http: &Http<'_>, commit: &str) -> Result<Vec<RemoteFile>, HubError> {
        let wanted = self.wanted(http, None);
        let mut url = self.api_url(http, "tree", commit);
        url.set_query(Some("recursive=true"));
        let mut files = Vec::new();
        let mut empty = 0;
        let all = Deadline::new(http.config.patience * LISTING);
        for _ in 0..MAX_PAGES {
            let deadline = all.at_most(http.config.patience);
            let (page, headers): (Vec<TreeEntry>, _) = http.json(&url, MAX_PAGE_BYTES, &wanted, &deadline)?;
            empty += usize::from(page.is_empty());
            if empty > MAX_EMPTY {
                let expected = format!("at most {MAX_EMPTY} empty pages of files");
                return Err(HubError::bad_answer(&wanted.what, expected, "more"));
            }
            for entry in page.into_iter().filter(|entry| entry.r#type == "file") {
                files.push(self.file(entry, &wanted)?);
            }
            if files.len() > MAX_FILES {
                return Err(HubError::bad_answer(&wanted.what, "at most 500000 files", "more"));
            }
            match next_page(&url, &headers) {
                Some(next) => url = next,
                None => {
                    files.sort_by(|a, b| a.path.cmp(&b.path));
                    files.dedup_by(|a, b| a.path == b.path);
                    return Ok(files);
                }
            }
        }
        Err(HubError::bad_answer(&wanted.what, "at most 1000 pages of files", "more"))
    }

    fn file(&self, entry: TreeEntry, wanted: &Wanted) -> Result<RemoteFile, HubError> {
        if let Some(why) = names::complaint(&entry.path) {
            let name = names::printable(&entry.path, 100);
            return Err(HubError::UnsafeName { repo: self.id.to_owned(), name, why });
        }
        let (size, digest) = match entry.lfs {
            Some(lfs) if is_hex(&lfs.oid, 64) => (lfs.size, Promise::Sha256(lfs.oid)),
            None if is_hex(&entry.oid, 40) => (entry.size, Promise::Git(entry.oid)),
            _ => {
                let expected = "a size and a digest of each file";
                return Err(HubError::bad_answer(
                    &wanted.what,
                    expected,
                    format!("none of {:?}", entry.path),
                ));
            }
        };
        Ok(RemoteFile { path: entry.path, size, digest })
    }
}

/// The paths and sizes of a page of a listing, each safe to join to a folder.
///
/// # Errors
/// What is no such page, unsafe names, files without a digest.
pub fn files_of_page(bytes: &[u8]) -> Result<Vec<(String, u64)>, HubError> {
    let repo = Repo { kind: RepoKind::Model, id: "org/name", revision: "main" };
    let wanted = Wanted { what: "model org/name".to_owned(), page: String::new() };
    let page: Vec<TreeEntry> = serde_json::from_slice(bytes).map_err(|error| {
        HubError::bad_answer(&wanted.what, "the JSON of the hub's API", error.to_string())
    })?;
    let files = page.into_iter().filter(|entry| entry.r#type == "file");
    files.map(|entry| repo.file(entry, &wanted).map(|file| (file.path, file.size))).collect()
}

/// The next page's address: this one with the query of the `Link` header's `rel="next"`. Host and path
/// stay as they are, whatever the header says.
fn next_page(current: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links
        .flat_map(|value| value.split(','))
        .filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'))
        .find(|(_, parameters)| parameters.replace(' ', "").contains("rel=\"next\""))?;
    let next = current.join(next.0).ok()?;
    let mut url = current.clone();
    url.set_query(Some(next.query()?));
    (url != *current).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_never_leaves_the_host() {
        let current = Url::parse("https://hub.example/api/models/o/n/tree/main?recursive=true").unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, link.parse().unwrap());
            next_page(&current, &headers).map(|url| url.to_string())
        };
        let expected = "https://hub.example/api/models/o/n/tree/main?recursive=true&cursor=9";
        assert_eq!(
            next("<https://other.example/x?recursive=true&cursor=9>; rel=\"next\"").as_deref(),
            Some(expected)
        );
        assert_eq!(
            next("<https://h/?a>; rel=\"prev\", <?recursive=true&cursor=9>; rel=\"next\"").as_deref(),
            Some(expected)
        );
        assert_eq!(next("<https://hub.example/x>; rel=\"next\""), None);
        assert_eq!(next("<?recursive=true>; rel=\"next\""), None, "the same page again is no next page");
        assert_eq!(next_page(&current, &HeaderMap::new()), None);
    }
}

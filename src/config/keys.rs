//! API keys as they are typed, and as they are kept: by their SHA-256 alone.
//!
//! An entry is `KEY`, or `NAME KEY` where the log shall name whose requests they are, or whether an old key is still in
//! use. A key has at least 16 characters and a name at most 15, so that no key can be taken for a name and shown.
//! Nothing here ever prints a key: not `Debug`, and not the errors, which count entries instead.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Characters of a key at least: 16 of base64 hold 96 bits, out of reach of guessing over a network.
const KEY_MIN: usize = 16;
/// Characters of a key at most.
const KEY_MAX: usize = 512;
/// Characters of a name at most.
const NAME_MAX: usize = KEY_MIN - 1;
/// Keys at most: each is compared with for every request.
const KEYS_MAX: usize = 1000;
/// Bytes of a file of keys at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Text with keys in it, as it was typed; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, to be parsed and not to be shown.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A set of keys, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeys(Vec<ApiKey>);

#[derive(Clone, PartialEq, Eq)]
struct ApiKey {
    name: Option<String>,
    sha256: [u8; 32],
}

impl ApiKeys {
    /// Reads entries, separated by lines or commas; a line that begins with `#` is none. The error lists all that
    /// is wrong, and no key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let entries = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
        let mut keys: Vec<ApiKey> = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            if number > KEYS_MAX {
                return Err(format!("more than {KEYS_MAX} keys; remove those that are out of use"));
            }
            let key = ApiKey::parse(entry).map_err(|what| format!("entry {number}: {what}"))?;
            if keys.iter().any(|other| other.sha256 == key.sha256) {
                return Err(format!("entry {number}: the key is there twice; remove one of them"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            Err("there is no key in it; leave the setting out to ask for none".into())
        } else {
            Ok(Self(keys))
        }
    }

    /// Reads a file of entries, with the same errors.
    pub fn read(file: &Path) -> Result<Self, String> {
        let mut text = String::new();
        match File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)) {
            Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => {
                Err(format!("it has more than {FILE_BYTES_MAX} bytes; name a file of API keys"))
            }
            Ok(_) => Self::parse(&text),
            Err(error) => Err(format!("it cannot be read: {error}; name a file that this process may read")),
        }
    }

    /// Both sets as one.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this is one of the keys, and its name if it has one. Takes the same time whichever key it is and however
    /// much of one was guessed: digests are compared, all of them and in full.
    pub fn find(&self, presented: &[u8]) -> Option<Option<&str>> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let none = self.0.len() as u64;
        let found = (0..)
            .zip(&self.0)
            .fold(none, |found, (number, key)| u64::conditional_select(&found, &number, key.sha256.ct_eq(&digest)));
        self.0.get(usize::try_from(found).ok()?).map(|key| key.name.as_deref())
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys (hidden)", self.0.len())
    }
}

impl ApiKey {
    fn parse(entry: &str) -> Result<Self, String> {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let (name, key) = match words[..] {
            [key] => (None, key),
            [name, key] => (Some(name), key),
            _ => return Err("it is neither KEY nor NAME KEY".into()),
        };
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if name.is_some_and(|name| name.len() > NAME_MAX || !name.bytes().all(is_name)) {
            return Err(format!("its name is not one; write 1 to {NAME_MAX} of A-Z a-z 0-9 . _ -"));
        }
        // What RFC 6750 lets a bearer token have: anything else could not be sent.
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/".contains(&c);
        if !key.trim_end_matches('=').bytes().all(is_token) {
            return Err(
                "the key has characters that a header cannot carry; write A-Z a-z 0-9 - . _ ~ + / and = at its end"
                    .into(),
            );
        }
        if !(KEY_MIN..=KEY_MAX).contains(&key.len()) {
            return Err(format!(
                "the key has {} characters, not {KEY_MIN} to {KEY_MAX}; make one with: openssl rand -base64 32",
                key.len()
            ));
        }
        Ok(Self { name: name.map(ToOwned::to_owned), sha256: Sha256::digest(key).into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> ApiKeys {
        ApiKeys::parse(text).expect(text)
    }

    #[test]
    fn entries_are_lines_or_separated_by_commas() {
        let text = "# of 2026, two shops\nshop-a 0123456789abcdef\n\n  0123456789abcdeg , old 0123456789abcde/==\r\n";
        let keys = keys(text);
        assert_eq!(keys.count(), 3);
        assert_eq!(keys.find(b"0123456789abcdef"), Some(Some("shop-a")));
        assert_eq!(keys.find(b"0123456789abcdeg"), Some(None));
        assert_eq!(keys.find(b"0123456789abcde/=="), Some(Some("old")));
        for wrong in [&b""[..], b"shop-a", b"0123456789abcde", b"0123456789abcdef ", b"0123456789ABCDEF"] {
            assert_eq!(keys.find(wrong), None);
        }
    }

    #[test]
    fn lengths_have_both_bounds() {
        let (short, least) = ("k".repeat(KEY_MIN - 1), "k".repeat(KEY_MIN));
        let (most, long) = ("k".repeat(KEY_MAX), "k".repeat(KEY_MAX + 1));
        assert!(ApiKeys::parse(&least).is_ok() && ApiKeys::parse(&most).is_ok());
        assert!(ApiKeys::parse(&short).is_err() && ApiKeys::parse(&long).is_err());
        let named = |length| ApiKeys::parse(&format!("{} {least}", "n".repeat(length)));
        assert!(named(1).is_ok() && named(NAME_MAX).is_ok() && named(NAME_MAX + 1).is_err());
        let many =
            |count: usize| ApiKeys::parse(&(0..count).map(|n| format!("{n:020}")).collect::<Vec<_>>().join("\n"));
        assert!(many(KEYS_MAX).is_ok() && many(KEYS_MAX + 1).is_err());
    }

    #[test]
    fn a_set_without_keys_or_with_one_twice_is_refused() {
        for wrong in ["", " \n,, ,\n", "# 0123456789abcdef", "a 0123456789abcdef,b 0123456789abcdef"] {
            assert!(ApiKeys::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("keys");
        let read_padded = |bytes: u64| {
            let text = format!("shop 0123456789abcdef\n#{}", "x".repeat(bytes as usize - 23));
            std::fs::write(&file, text).expect("a file");
            ApiKeys::read(&file)
        };
        assert_eq!(read_padded(FILE_BYTES_MAX).map(|keys| keys.count()), Ok(1));
        assert!(read_padded(FILE_BYTES_MAX + 1).is_err_and(|what| what.contains("1048576 bytes")));
        std::fs::remove_file(&file).expect("it exists");
        assert!(ApiKeys::read(&file).is_err_and(|what| what.contains("cannot be read")));
    }

    #[test]
    fn nothing_that_is_printed_holds_a_key() {
        let key = "0123456789abcdef";
        let text = format!("shop {key}");
        assert!(!format!("{:?} {:?}", Secret::from(text.clone()), keys(&text)).contains("01234"));
        let wrong = [
            format!("{key} {key}"),
            format!("a b {key}"),
            format!("{key}ü"),
            format!("{key}=x"),
            format!("{key},{key}"),
            "0123456789".to_owned(),
        ];
        for wrong in wrong {
            let complaint = ApiKeys::parse(&wrong).expect_err("it is wrong");
            assert!(!complaint.contains("01234"), "{complaint}");
        }
    }

    proptest! {
        #[test]
        fn every_key_of_a_set_is_found_and_no_other(set in prop::collection::btree_set("[a-zA-Z0-9._~+/-]{16,40}=?", 1..8), other in "[ -~]{0,40}") {
            let entries: Vec<String> = set.iter().enumerate().map(|(n, key)| format!("n{n} {key}")).collect();
            let parsed = keys(&entries.join("\n"));
            for (n, key) in set.iter().enumerate() {
                let name = format!("n{n}");
                prop_assert_eq!(parsed.find(key.as_bytes()), Some(Some(name.as_str())));
            }
            prop_assert_eq!(parsed.find(other.as_bytes()).is_some(), set.contains(&other));
        }
    }
}

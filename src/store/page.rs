//! Pages of a list.
//!
//! A limit and an opaque cursor come in, a page of rows and the next cursor go out. A cursor holds the sort key of the
//! last row that was given, so that rows inserted meanwhile neither repeat nor hide one; it is never an offset.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Rows of a page when the caller names no limit.
const LIMIT_DEFAULT: u32 = 50;
/// Rows of a page at most.
const LIMIT_MAX: u32 = 200;

/// Which page of a list is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    limit: u32,
    cursor: Option<String>,
}

impl Page {
    /// Builds the page after `cursor` (or the first one) with `limit` rows, cut to 1–200; 50 when absent.
    #[must_use]
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit: limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX), cursor }
    }

    /// Returns how many rows to ask for: one more than is given out, to know whether there is a next page.
    pub(super) fn rows_to_read(&self) -> u64 {
        u64::from(self.limit) + 1
    }

    /// Returns the sort key after which the page begins.
    pub(super) fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, StoreError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::BadCursor)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| StoreError::BadCursor)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new(None, None)
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// the rows, in the order of the list
    pub items: Vec<T>,
    /// where the next page begins; none when this is the last
    pub next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// Cuts the rows that were read for `page` to its limit and makes the next cursor from the last row's sort key.
    pub(super) fn cut<K: Serialize>(mut rows: Vec<T>, page: &Page, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let is_more = rows.len() > limit;
        rows.truncate(limit);
        let last_key = rows.last().filter(|_| is_more).map(key);
        let next_cursor = last_key.and_then(|key| serde_json::to_vec(&key).ok()).map(|key| URL_SAFE_NO_PAD.encode(key));
        Self { items: rows, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_full_has_no_next_cursor() {
        let page = Page::new(Some(2), None);
        assert_eq!(Listed::cut(vec![1, 2], &page, |row| *row).next_cursor, None);
    }

    #[test]
    fn the_next_cursor_holds_the_key_of_the_last_row_given() {
        let page = Page::new(Some(2), None);
        let listed = Listed::cut(vec![("a", 1), ("b", 2), ("c", 3)], &page, |row| (row.1, row.0.to_owned()));
        assert_eq!(listed.items, [("a", 1), ("b", 2)]);
        let next = Page::new(Some(2), listed.next_cursor);
        assert_eq!(next.after::<(i32, String)>().unwrap(), Some((2, "b".to_owned())));
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let page = Page::new(None, Some(URL_SAFE_NO_PAD.encode("\"name\"")));
        assert!(matches!(page.after::<(i64, String)>(), Err(StoreError::BadCursor)));
        let page = Page::new(None, Some("not base64!".to_owned()));
        assert!(matches!(page.after::<String>(), Err(StoreError::BadCursor)));
    }

    #[test]
    fn a_limit_is_kept_between_1_and_200() {
        assert_eq!(Page::new(Some(0), None).rows_to_read(), 2);
        assert_eq!(Page::new(Some(1000), None).rows_to_read(), 201);
        assert_eq!(Page::default().rows_to_read(), 51);
    }
}

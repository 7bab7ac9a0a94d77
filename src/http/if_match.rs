//! The revision that an edit was made from.

use std::future::{Ready, ready};

use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::problem::{Code, Problem};

/// What `If-Match` demands: the stored revision must be this one; none when it demands nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut given = request.headers().get_all(header::IF_MATCH);
        ready(match (given.next().map(|tag| tag.to_str()), given.next()) {
            (None, _) => Ok(Self(None)),
            (Some(Ok(tag)), None) => parse(tag),
            _ => Err(Problem::new(Code::MalformedRequest, "If-Match is given more than once; give one entity tag")),
        })
    }
}

fn parse(tag: &str) -> Result<IfMatch, Problem> {
    let tag = tag.trim();
    if tag == "*" {
        return Ok(IfMatch(None));
    }
    if tag.contains(',') {
        return Err(Problem::new(Code::MalformedRequest, "If-Match names several entity tags; give one"));
    }
    let quoted = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.and_then(|revision| revision.parse().ok()) {
        Some(revision) => Ok(IfMatch(Some(revision))),
        // A tag that was never given out matches nothing.
        None => Err(Problem::new(
            Code::Stale,
            "the entity tag in If-Match is not one that this gateway gave out; read the resource and take its ETag",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_was_given_out() {
        assert_eq!(parse("\"7\"").ok(), Some(IfMatch(Some(7))));
        assert_eq!(parse("*").ok(), Some(IfMatch(None)));
        for (tag, code) in [
            ("W/\"7\"", Code::Stale),
            ("7", Code::Stale),
            ("\"seven\"", Code::Stale),
            ("", Code::Stale),
            ("\"7\", \"8\"", Code::MalformedRequest),
        ] {
            assert_eq!(parse(tag).map_err(|problem| problem.code()), Err(code), "{tag}");
        }
    }
}

//! The parameters of a query, read strictly.
//!
//! The raw query comes in, a typed value goes out; a parameter that is unknown, repeated or malformed is named in a
//! problem. A misspelled filter that was passed over would show more than was asked for.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::de::DeserializeOwned;

use super::body::reader;
use super::problem::{Code, Problem};
use crate::store::Page;

/// Most rows of a page; see the contract.
const LIMIT_MAX: u32 = 200;

/// Parameters that were read.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()).map(Self))
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let refuse = |detail: String| Problem::new(Code::InvalidParameter, detail);
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|error| refuse(format!("the query can't be read: {error}")))?
        .into_inner();
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(refuse(format!("the query parameter {name:?} is given twice; give it once")));
        }
    }
    reader::read_parameters(&pairs).map_err(|fault| {
        refuse(format!(
            "the query parameter {:?} can't be used: {}",
            fault.outermost().unwrap_or_default(),
            fault.detail
        ))
    })
}

/// Returns the page that `?limit` and `?cursor` ask for.
///
/// # Errors
/// The limit is not between 1 and 200.
pub fn page(limit: Option<u32>, cursor: Option<String>) -> Result<Page, Problem> {
    match limit {
        Some(limit) if !(1..=LIMIT_MAX).contains(&limit) => {
            let detail = format!("the query parameter \"limit\" can't be used: 1 to {LIMIT_MAX} is expected");
            Err(Problem::new(Code::InvalidParameter, detail))
        }
        _ => Ok(Page::new(limit, cursor)),
    }
}

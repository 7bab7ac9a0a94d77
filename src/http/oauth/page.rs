//! What a person sees who comes back from a login. Everything in it is escaped: some of it is the authorization server's.

use crate::connect::Outcome;

pub(super) fn render(outcome: &Outcome) -> String {
    let server = outcome.server.as_deref();
    let (title, words) = match (&outcome.result, server) {
        (Ok(()), Some(server)) => {
            (format!("{server} is connected"), "The login worked, and the server answered a handshake.".to_owned())
        }
        (Ok(()), None) => ("Connected".to_owned(), "The login worked, and the server answered a handshake.".to_owned()),
        (Err(error), Some(server)) => (format!("{server} is not connected"), sentence(&error.to_string())),
        (Err(error), None) => ("Not connected".to_owned(), sentence(&error.to_string())),
    };
    let (title, words) = (escape(&title), escape(&words));
    let back = server.map(|server| format!("#servers/{}", escape(server))).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n  <head>\n    <meta charset=\"utf-8\" />\n    <meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\" />\n    <title>{title} – Atryum</title>\n    <link \
         rel=\"stylesheet\" href=\"/ui/style.css\" />\n  </head>\n  <body>\n    <header><h1>Atryum</h1></header>\n    \
         <main>\n      <h2>{title}</h2>\n      <p>{words}</p>\n      <p><a href=\"/ui/{back}\">Back to the \
         servers</a></p>\n    </main>\n  </body>\n</html>\n"
    )
}

/// With a capital at its beginning and a stop at its end.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|char| char.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{CallbackError, Step};
    use crate::oauth::{OAuthError, Refusal};

    #[test]
    fn the_words_of_the_authorization_server_are_no_markup() {
        let refusal = Refusal::new("access_denied", Some("<script>alert('\"&\")</script>"));
        let error = CallbackError::Failed { step: Step::Callback, cause: OAuthError::Denied(refusal) };
        let page = render(&Outcome { server: Some("git".into()), result: Err(error) });
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;"), "{page}");
        assert!(page.contains("<h2>git is not connected</h2>") && page.contains("href=\"/ui/#servers/git\""), "{page}");
    }
}

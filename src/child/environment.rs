//! The variables a server is started with.
//!
//! In come the gateway's variables and the operator's, out goes the complete list for the child: a few harmless names of
//! ours and what the operator set. Our secrets are never among them, because nothing is passed on by default.

use std::ffi::{OsStr, OsString};

use super::{Launch, LaunchError};

/// The variables that a server receives from the gateway's own environment; the operator's settings win over them.
pub const INHERITED: [&str; 7] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER"];

/// Variables that make the loader run other code than the command the operator agreed to.
const LOADER_PREFIXES: [&str; 2] = ["LD_", "DYLD_"];

/// The inherited variables as they are now.
pub(super) fn inherited() -> Vec<(OsString, OsString)> {
    #[expect(clippy::disallowed_methods, reason = "not settings of ours: seven names handed on to a server")]
    let value = |name: &str| Some((OsString::from(name), std::env::var_os(name)?));
    INHERITED.into_iter().filter_map(value).collect()
}

/// The child's complete environment: what is inherited, overruled by what the launch sets.
pub(super) fn of_child(
    launch: &Launch,
    inherited: Vec<(OsString, OsString)>,
) -> Result<Vec<(OsString, OsString)>, LaunchError> {
    if let Some((name, _)) = launch.env.iter().find(|(name, value)| !may_be_set(name, value)) {
        return Err(LaunchError::VariableRefused { name: name.clone() });
    }
    let is_set = |name: &OsStr| launch.env.iter().any(|(own, _)| OsStr::new(own) == name);
    let kept = inherited.into_iter().filter(|(name, _)| !is_set(name));
    Ok(kept.chain(launch.env.iter().map(|(name, value)| (name.into(), value.into()))).collect())
}

/// Whether an operator may set this variable for a server: it is well formed and does not change which code runs.
pub fn may_be_set(name: &str, value: &str) -> bool {
    let well_formed = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    well_formed && !LOADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(env: &[(&str, &str)]) -> Launch {
        Launch { env: env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(), ..Launch::default() }
    }

    #[test]
    fn the_operators_value_wins_over_the_inherited_one() {
        let inherited = vec![("PATH".into(), "/ours".into()), ("HOME".into(), "/home/u".into())];
        let all = of_child(&launch(&[("PATH", "/theirs")]), inherited).unwrap();
        assert_eq!(all, [("HOME".into(), "/home/u".into()), (OsString::from("PATH"), OsString::from("/theirs"))]);
    }

    #[test]
    fn loader_variables_are_refused_by_name() {
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_", "DYLD_INSERT_LIBRARIES"] {
            let error = of_child(&launch(&[(name, "x")]), vec![]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_name_that_only_resembles_a_loader_variable_is_let_through() {
        assert!(of_child(&launch(&[("OLD_PATH", "x"), ("LDAP_URL", "x")]), vec![]).is_ok());
    }

    #[test]
    fn malformed_names_and_values_are_refused() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
            assert!(of_child(&launch(&[(name, value)]), vec![]).is_err(), "{name:?}");
        }
    }
}

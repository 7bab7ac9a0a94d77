//! Numbers as CEL holds them: exactly or not at all.
//!
//! JSON puts no bound on a number; servers read the same text as an integer of any size, a decimal fraction or a
//! floating-point number. A rule that compared a rounded number would let through what it was written to stop.

/// A number of JSON that CEL holds as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    UInt(u64),
    Double(f64),
}

/// Reads the text of a number; `None` when it would have to be rounded.
pub(super) fn read(text: &str) -> Option<Number> {
    if let Ok(int) = text.parse::<i64>() {
        return Some(Number::Int(int));
    }
    if let Ok(uint) = text.parse::<u64>() {
        return Some(Number::UInt(uint));
    }
    let double: f64 = text.parse().ok()?;
    // A floating-point number stands for the shortest text that is read as it: 0.1 is 0.1, and 0.10000000000000001 is not.
    (double.is_finite() && decimal(text)? == decimal(&format!("{double:e}"))?).then_some(Number::Double(double))
}

/// Sign, digits without zeros at either end, and the power of ten behind them.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let exponent =
        exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    let kept = kept.trim_start_matches('0');
    // Zero is zero, however it is written.
    if kept.is_empty() { Some((false, String::new(), 0)) } else { Some((is_negative, kept.to_owned(), exponent)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_held_as_it_is_written_or_not_at_all() {
        for (text, expected) in [
            ("0", Some(Number::Int(0))),
            ("-9223372036854775808", Some(Number::Int(i64::MIN))),
            ("18446744073709551615", Some(Number::UInt(u64::MAX))),
            ("18446744073709551616", None),
            ("100000000000000000000", Some(Number::Double(1e20))),
            ("18446744073709551617", None),
            ("9007199254740993.0", None),
            ("9007199254740992.0", Some(Number::Double(9_007_199_254_740_992.0))),
            ("0.1", Some(Number::Double(0.1))),
            ("0.10", Some(Number::Double(0.1))),
            ("1E-1", Some(Number::Double(0.1))),
            ("0.10000000000000001", None),
            ("-0.0", Some(Number::Double(-0.0))),
            ("1e3", Some(Number::Double(1000.0))),
            ("1e400", None),
            ("1e-400", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}

//! Numbers by value: `1`, `1.0` and `1e0` are one number, and no integer is rounded through a float.
//!
//! Used by `contain`; works on a number's JSON text, so nothing is lost before the comparison.

use serde_json::Number;

/// From here on (2⁵³) a double may stand for another whole number than the one that was written.
const ROUNDED: f64 = 9_007_199_254_740_992.0;

/// Most decimal digits of an integer that [`i128`] holds whatever the digits are.
const MAX_DIGITS: i64 = 38;

/// A number a filter wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// An integer from −2⁶³ to 2⁶⁴ − 1, however it was written; compared exactly.
    Integer(i128),
    /// A fraction: the nearest double, so a message's number is rounded to a double as well before the two are compared.
    Fraction(f64),
}

impl Wanted {
    /// Takes the number as the filter's JSON gave it.
    ///
    /// # Errors
    /// A whole number that JSON gives as a double that may stand for another one: beyond 64 bits, or a large one with
    /// fraction or exponent.
    pub(super) fn new(number: &Number) -> Result<Self, String> {
        let whole = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from));
        if let Some(whole) = whole {
            return Ok(Self::Integer(whole));
        }
        let double = number.as_f64().unwrap_or(f64::NAN);
        if double.fract() != 0.0 {
            return Ok(Self::Fraction(double));
        }
        if double.abs() < ROUNDED {
            return Ok(Self::Integer(double as i128));
        }
        Err(format!(
            "the whole number {number} would be compared rounded; write it with digits alone, within 64 bits, or \
             compare it in the script"
        ))
    }

    /// Whether the JSON number `text` has this value.
    pub(super) fn equals(&self, text: &str) -> bool {
        match self {
            Self::Integer(wanted) => integer(text) == Some(*wanted),
            Self::Fraction(wanted) => text.parse().is_ok_and(|double: f64| double == *wanted),
        }
    }
}

/// The exact value of the JSON number `text` when that is an integer of at most 38 digits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, saturating_exponent(exponent)),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    let length = whole.len() + fraction.len();
    let leading = all().take_while(|digit| *digit == b'0').count();
    if leading == length {
        return Some(0);
    }
    let trailing = fraction
        .bytes()
        .rev()
        .chain(whole.bytes().rev())
        .take_while(|digit| *digit == b'0')
        .count();
    let significant = i64::try_from(length - leading - trailing).ok()?;
    let scale = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(trailing).ok()?)?;
    if scale < 0 || significant.checked_add(scale)? > MAX_DIGITS {
        return None;
    }
    let mut value: i128 = 0;
    for digit in all().skip(leading).take(length - leading - trailing) {
        value = value * 10 + i128::from(digit - b'0');
    }
    for _ in 0..scale {
        value *= 10;
    }
    Some(if negative { -value } else { value })
}

/// An exponent's value; one too long for `i64` becomes the largest of its sign.
fn saturating_exponent(text: &str) -> i64 {
    text.parse().unwrap_or(if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equals(wanted: &str, text: &str) -> bool {
        let wanted = Wanted::new(&serde_json::from_str(wanted).unwrap());
        wanted.unwrap().equals(text)
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for (wanted, text) in [
            ("1", "1"),
            ("1", "1.0"),
            ("1.0", "1"),
            ("1", "1e0"),
            ("1", "10e-1"),
            ("1", "0.1E+1"),
            ("100", "1e2"),
            ("0", "-0"),
            ("-0.0", "0"),
            ("0", "0e999999999999999999999"),
            ("9007199254740993", "9007199254740993.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9007199254740991.0", "9007199254740991"),
            ("9223372036854775808", "9223372036854775808.0"),
            ("0.1", "0.10"),
            ("0.1", "1e-1"),
            ("1.5", "15e-1"),
            ("0.1234567890123456789", "0.1234567890123456789"),
        ] {
            assert!(equals(wanted, text), "{wanted} should equal {text}");
        }
        for (wanted, text) in [
            ("1", "2"),
            ("1", "-1"),
            ("1", "1.0000000000000000000000001"),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740992", "9007199254740993"),
            ("9007199254740992", "9007199254740993.0"),
            ("18446744073709551615", "18446744073709551616"),
            ("9223372036854775807", "9223372036854775808"),
            ("1", "1e999999999999999999999"),
            ("0", "1e-999999999999999999999"),
            ("0.1", "0.2"),
            ("1.5", "1e400"),
        ] {
            assert!(!equals(wanted, text), "{wanted} should not equal {text}");
        }
    }

    #[test]
    fn a_filter_wants_no_number_that_was_rounded() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "9007199254740993.0",
            "1e300",
        ] {
            let error = Wanted::new(&serde_json::from_str(text).unwrap()).unwrap_err();
            assert!(error.contains("within 64 bits"), "{text}: {error}");
        }
    }
}

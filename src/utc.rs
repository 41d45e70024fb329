//! A point in time as a text for people. Every time of every clock has a text; none is an error.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i128 = 86_400;
/// The days of 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i128 = 146_097;

/// A point in time, shown in UTC with milliseconds (RFC 3339). Years before 0 and after 9999, which
/// RFC 3339 does not have, are shown with a sign (ISO 8601).
#[derive(Clone, Copy, Debug)]
pub struct Utc(pub SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = millis_since_1970(self.0);
        let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
        let (days, second) =
            (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date(days);
        match year {
            0..=9_999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+}")?,
        }
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

fn millis_since_1970(time: SystemTime) -> i128 {
    // The milliseconds of every duration fit; `unwrap_or` is never used.
    let millis = |duration: Duration| i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

/// Returns the year, month and day for a number of days since 1970.
///
/// This is "civil from days" of Howard Hinnant's "chrono-compatible low-level date algorithms". A
/// year of the algorithm begins in March, so that the additional day of leap years is its last.
fn date(days_since_1970: i128) -> (i128, i128, i128) {
    // The days are counted from the 1st of March of the year 0.
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i128::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(seconds: i64, millis: u64) -> Option<String> {
        let size = Duration::from_secs(seconds.unsigned_abs());
        let time = match seconds < 0 {
            true => UNIX_EPOCH.checked_sub(size),
            false => UNIX_EPOCH.checked_add(size),
        };
        let time = time?.checked_add(Duration::from_millis(millis))?;
        Some(Utc(time).to_string())
    }

    #[test]
    fn every_time_of_every_clock_has_a_text() {
        for (seconds, millis, expected) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, 5, "2000-02-29T00:00:00.005Z"),
            (1_709_251_199, 999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (-1, 0, "1969-12-31T23:59:59.000Z"),
            (-1, 250, "1969-12-31T23:59:59.250Z"),
            (-2_208_988_800, 0, "1900-01-01T00:00:00.000Z"),
            (253_402_300_799, 999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800, 0, "+10000-01-01T00:00:00.000Z"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_201, 0, "-1-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(utc(seconds, millis).as_deref(), Some(expected), "{seconds}");
        }
        for seconds in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
            // Some systems cannot represent such times.
            if let Some(text) = utc(seconds, 0) {
                assert!(text.ends_with('Z'), "{text}");
            }
        }
    }

    #[test]
    fn each_day_follows_the_previous_one() {
        let mut last = date(-1_000_000);
        for day in -999_999..=4_000_000 {
            let next = date(day);
            let (year, month, of_month) = last;
            let follows = next == (year, month, of_month + 1)
                || next == (year, month + 1, 1) && of_month >= 28
                || next == (year + 1, 1, 1) && (month, of_month) == (12, 31);
            assert!(follows, "{next:?} after {last:?}");
            last = next;
        }
    }
}

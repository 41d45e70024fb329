//! Durations as people write them: `5s`, `250ms`, `1.5s`, `2m`.

use std::time::Duration;

/// Parses a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "" => return Err("the unit is missing: write 5s, 250ms or 2m".to_owned()),
        _ => return Err(format!("`{unit}` is not a unit of time: write 5s, 250ms or 2m")),
    };
    let number: f64 = number.parse().map_err(|_| "write 5s, 250ms or 2m".to_owned())?;
    match Duration::try_from_secs_f64(number * seconds_per_unit) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("the time must be more than 0".to_owned()),
        Err(_) => Err("the time is too long".to_owned()),
    }
}

/// Returns a duration for people, with about three digits.
pub(crate) fn show(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Returns a time of running for people, in its two largest units.
pub(crate) fn show_uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "5 s", "5h", "-1s", "0s", "1.2.3s", "99999999999999999999m"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn uptimes_have_two_units() {
        let show = |seconds| show_uptime(Duration::from_secs(seconds));
        assert_eq!([show(7), show(67), show(7_322)], ["7s", "1m 7s", "2h 2m"]);
        assert_eq!(show(100_000), "1d 3h");
    }
}

//! The calendar at a moment.

/// A moment's fields in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Year, four digits for a long time.
    pub year: i32,
    /// 1..=12
    pub month: u32,
    /// 1..=31
    pub day: u32,
    /// 0..=23
    pub hour: u32,
    /// 0..=59
    pub minute: u32,
    /// 0..=60
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 1..=366
    pub day_of_year: u32,
    /// East of UTC, seconds.
    pub offset_s: i64,
    /// Abbreviation of the zone.
    pub zone: String,
}

impl Calendar {
    /// A moment, seconds since 1970, in the process's time zone; `None` where the system cannot convert it.
    pub fn local(unix_s: i64) -> Option<Self> {
        super::system::local_time::calendar(unix_s)
    }

    /// A moment, seconds since 1970, in UTC.
    pub fn utc(unix_s: i64) -> Self {
        let (days, second_of_day) = (unix_s.div_euclid(DAY_S), unix_s.rem_euclid(DAY_S));
        let (year, month, day) = date(days);
        let day_of_year = days - days_before_year(year) + 1;
        let number = |value: i64| u32::try_from(value).unwrap_or(0);
        Self {
            year: i32::try_from(year).unwrap_or(i32::MAX),
            month: number(month),
            day: number(day),
            hour: number(second_of_day / 3600),
            minute: number(second_of_day / 60 % 60),
            second: number(second_of_day % 60),
            // 1970 began on a Thursday.
            weekday: number((days + 4).rem_euclid(7)),
            day_of_year: number(day_of_year),
            offset_s: 0,
            zone: "UTC".into(),
        }
    }
}

const DAY_S: i64 = 86_400;

/// Year, month and day of a day since 1970, in the Gregorian calendar.
const fn date(days: i64) -> (i64, i64, i64) {
    // The year of 365.2425 days on average is at most one too late.
    let mut year = 1970 + (days * 10_000).div_euclid(3_652_425) + 1;
    while days_before_year(year) > days {
        year -= 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// Days from the beginning of 1970 to that of `year`.
const fn days_before_year(year: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    365 * (year - 1970) + leap_days - 477
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLAT-3
    #[test]
    fn utc_is_computed_without_the_c_library() {
        let date = |unix_s| {
            let at = Calendar::utc(unix_s);
            (at.year, at.month, at.day, at.weekday, at.day_of_year, at.hour, at.minute, at.second)
        };
        assert_eq!(date(0), (1970, 1, 1, 4, 1, 0, 0, 0));
        assert_eq!(date(-1), (1969, 12, 31, 3, 365, 23, 59, 59));
        assert_eq!(date(951_782_400), (2000, 2, 29, 2, 60, 0, 0, 0));
        assert_eq!(date(1_772_849_109), (2026, 3, 7, 6, 66, 2, 5, 9));
        assert_eq!(date(2_147_483_648), (2038, 1, 19, 2, 19, 3, 14, 8));
        assert_eq!(date(4_102_444_799), (2099, 12, 31, 4, 365, 23, 59, 59));
    }

    // PLAT-3: the system's own calendar, in whatever zone, is that of UTC at another moment. Years before and after 2038.
    #[test]
    fn local_time_agrees_with_utc() {
        for unix_s in (0..6_000_000_000).step_by(7_777_777) {
            let local = Calendar::local(unix_s).unwrap_or_else(|| Calendar::utc(unix_s));
            let utc = Calendar::utc(unix_s + local.offset_s);
            assert_eq!(Calendar { offset_s: local.offset_s, zone: local.zone.clone(), ..utc }, local);
        }
    }
}

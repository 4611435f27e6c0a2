//! Local time of the C library.

use crate::platform::calendar::Calendar;
use std::ffi::{CStr, c_int};
use std::mem::zeroed;

/// The calendar of the process's time zone; `None` where the C library has none for that moment.
pub(crate) fn calendar(unix_s: i64) -> Option<Calendar> {
    // SAFETY: `tm` is plain data for which all zeros is a valid value.
    let mut tm: libc::tm = unsafe { zeroed() };
    convert(unix_s, &mut tm)?;
    let number = |value: c_int| u32::try_from(value).unwrap_or(0);
    let zone = if tm.tm_zone.is_null() {
        String::new()
    } else {
        // SAFETY: the C library points tm_zone to a string of the zone data, which lives as long as the process.
        unsafe { CStr::from_ptr(tm.tm_zone) }.to_string_lossy().into_owned()
    };
    Some(Calendar {
        year: tm.tm_year + 1900,
        month: number(tm.tm_mon) + 1,
        day: number(tm.tm_mday),
        hour: number(tm.tm_hour),
        minute: number(tm.tm_min),
        second: number(tm.tm_sec),
        weekday: number(tm.tm_wday),
        day_of_year: number(tm.tm_yday) + 1,
        #[allow(clippy::useless_conversion, reason = "c_long has 32 bits on some systems")]
        offset_s: tm.tm_gmtoff.into(),
        zone,
    })
}

/// Fills `tm`, if the C library can.
fn convert(unix_s: i64, tm: &mut libc::tm) -> Option<()> {
    #[allow(deprecated, reason = "libc announces a type of 64 bits for musl")]
    let time = unix_s as libc::time_t;
    #[allow(clippy::unnecessary_cast, reason = "time_t has 32 bits on some systems")]
    if time as i64 != unix_s {
        return convert_wide(unix_s, tm);
    }
    // SAFETY: both pointers are to live locals.
    let filled = unsafe { libc::localtime_r(&raw const time, tm) };
    (!filled.is_null()).then_some(())
}

/// The same for moments outside of a `time_t` of 32 bits: glibc has a second function for them since 2.34.
#[cfg(all(target_env = "gnu", target_pointer_width = "32"))]
fn convert_wide(unix_s: i64, tm: &mut libc::tm) -> Option<()> {
    type Localtime = unsafe extern "C" fn(*const i64, *mut libc::tm) -> *mut libc::tm;
    // SAFETY: the name is a terminated string; the result is null or the function of that name.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__localtime64_r".as_ptr()) };
    if function.is_null() {
        return None;
    }
    // SAFETY: glibc declares it so: time64_t has 64 bits, and there is one `struct tm`.
    let function = unsafe { std::mem::transmute::<*mut libc::c_void, Localtime>(function) };
    // SAFETY: both pointers are to live locals.
    let filled = unsafe { function(&raw const unix_s, tm) };
    (!filled.is_null()).then_some(())
}

#[cfg(not(all(target_env = "gnu", target_pointer_width = "32")))]
const fn convert_wide(_unix_s: i64, _tm: &mut libc::tm) -> Option<()> {
    None
}

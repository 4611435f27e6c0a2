//! Options of the programs, of scenario files and of contests (CLI-1).
//!
//! [`declare_options!`](crate::declare_options) declares a struct together with the table of its options, so that name, type, JSON
//! key, defaults and meaning of an option are written once. [`Settings`] holds the options of the engine; the programs
//! declare theirs (addresses, logs, metrics) the same way.

mod bytes;
mod compat;
mod flag;
mod mode;
mod table;
mod value;

pub use bytes::{bytes_of, text_of};
pub use compat::Compat;
pub use flag::{Flag, Group, KARST, KCPTUNB, Side, flag};
pub use mode::{Governor, Mode};
pub use table::Settings;
pub use value::{Kind, Typed, Value, one_of};

/// Declares a struct of options, its table and the access by [`Flag`]; each field is followed by its row.
///
/// The struct gets `TABLE`, `defaults` (of a side and a mode), `value` (of a flag; `None` when it is not in the table)
/// and `set` (which returns whether the flag is in the table, or why it cannot have that value).
#[macro_export]
macro_rules! declare_options {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty = $flag:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$about])* pub $field: $kind,)*
        }

        impl $name {
            /// Every option, in the order of the help.
            pub const TABLE: &'static [$crate::options::Flag] = &[$($flag.of::<$kind>(),)*];

            /// The defaults of `side` in that mode.
            pub fn defaults(side: $crate::options::Side, mode: $crate::options::Mode) -> Self {
                Self { $($field: $flag.typed_default(side, mode),)* }
            }

            /// The value of `flag`; `None` when it is not in [`Self::TABLE`].
            pub fn value(&self, flag: &$crate::options::Flag) -> Option<$crate::options::Value> {
                $(if flag.name == $flag.name {
                    return Some($crate::options::Typed::value(&self.$field));
                })*
                None
            }

            /// Changes the value of `flag`; `false` when it is not in [`Self::TABLE`].
            ///
            /// # Errors
            /// The value is of another type, or not one of the names that the option knows.
            pub fn set(
                &mut self,
                flag: &$crate::options::Flag,
                value: &$crate::options::Value,
            ) -> Result<bool, String> {
                $(if flag.name == $flag.name {
                    self.$field = $crate::options::Typed::read(value)?;
                    return Ok(true);
                })*
                Ok(false)
            }
        }
    };
}

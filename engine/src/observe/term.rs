//! Closed sets of named values, as files, logs and reports write them.

/// An enum without fields whose values have unique names. [`crate::terms!`] defines one.
pub trait Term: Copy + PartialEq + 'static {
    /// Every value, in order of definition.
    const ALL: &'static [Self];

    /// The name in files and reports; part of their formats.
    fn name(self) -> &'static str;

    /// One sentence, for documentation and schemas.
    fn meaning(self) -> &'static str;

    /// The value of that name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|term| term.name() == name)
    }
}

/// Defines an enum that implements [`Term`](crate::observe::Term): each line holds a variant, its name in files, and its
/// meaning, which is also its documentation.
#[macro_export]
macro_rules! terms {
    ($(#[$meta:meta])* $vis:vis enum $Type:ident { $($variant:ident $name:literal $meaning:literal)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $Type {
            $(#[doc = $meaning] $variant,)+
        }

        impl $Type {
            /// Every value, in order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in files and reports, unique.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence of documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }

        impl core::fmt::Display for $Type {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                out.pad(self.name())
            }
        }

        impl $crate::observe::Term for $Type {
            const ALL: &'static [Self] = Self::ALL;

            fn name(self) -> &'static str {
                self.name()
            }

            fn meaning(self) -> &'static str {
                self.meaning()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, Mark};

    fn assert_named<T: Term + core::fmt::Debug>() {
        for (n, &term) in T::ALL.iter().enumerate() {
            assert_eq!(T::from_name(term.name()), Some(term), "the first {term:?} is of another value");
            assert!(!T::ALL[..n].contains(&term));
            assert!(term.meaning().ends_with('.'), "{term:?}");
        }
        assert_eq!(T::from_name("no such name"), None);
    }

    #[test]
    fn names_are_unique() {
        assert_named::<Mark>();
        assert_named::<Cause>();
    }
}

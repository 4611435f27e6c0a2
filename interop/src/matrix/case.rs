//! Cases: parameters of the tunnel, a workload, and a path. Case files are JSON lists of them.

use super::judge::{Ways, Workload};
use super::path::{self, DIRECT};
use anyhow::{Context, ensure};
use lab::conformance::CaseFacts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A case of the matrix. Each parameter is passed to the programs as a flag, because their defaults depend on their age.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Case {
    /// Unique name; empty in a case file: the parameters that are not defaults.
    pub name: String,
    /// Group on the page.
    pub group: String,
    /// Cipher.
    pub crypt: String,
    /// Data and parity shards, as `10:3`; `0:0` for none.
    pub fec: String,
    /// Mode.
    pub mode: String,
    /// Maximum size of a datagram, bytes.
    pub mtu: u32,
    /// Version of smux.
    pub smuxver: u8,
    /// Whether streams are compressed.
    pub comp: bool,
    /// Sessions of the client.
    pub conn: u32,
    /// Whether datagrams are forged TCP segments (root).
    pub tcp: bool,
    /// Directions of bulk data.
    #[serde(with = "sim::term")]
    pub direction: Ways,
    /// The workload.
    #[serde(with = "sim::term")]
    pub work: Workload,
    /// Name of the path.
    pub path: String,
    /// More flags of both programs.
    pub flags: Vec<String>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: String::new(),
            group: "own".to_owned(),
            crypt: "aes".to_owned(),
            fec: "10:3".to_owned(),
            mode: "fast".to_owned(),
            mtu: 1350,
            smuxver: 1,
            comp: true,
            conn: 1,
            tcp: false,
            direction: Ways::Both,
            work: Workload::Bulk,
            path: DIRECT.to_owned(),
            flags: Vec::new(),
        }
    }
}

impl Case {
    /// Reads a case file; the cases get their names.
    ///
    /// # Errors
    /// The file cannot be read, has another form, an unknown path, or two cases of one name.
    pub fn read(path: &Path) -> anyhow::Result<Vec<Self>> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(name)?;
        let cases: Vec<Self> = serde_json::from_str(&text).with_context(name)?;
        let cases: Vec<Self> = cases.into_iter().map(Self::named).collect();
        for (at, case) in cases.iter().enumerate() {
            let is_known = case.path == DIRECT || path::about(&case.path).is_some();
            ensure!(is_known, "{}: {}: unknown path {:?}", name(), case.name, case.path);
            ensure!(case.fec.split_once(':').is_some(), "{}: {}: fec is DATA:PARITY", name(), case.name);
            let is_new = cases[..at].iter().all(|other| other.name != case.name);
            ensure!(is_new, "{}: two cases have the name {:?}", name(), case.name);
        }
        Ok(cases)
    }

    /// Names the case after its parameters, unless it has a name.
    #[must_use]
    pub fn named(mut self) -> Self {
        if self.name.is_empty() {
            let default = Self::default().parameters();
            let own = self.parameters();
            let differs = |(key, value): (&&str, &String)| default.get(*key) != Some(value);
            let mut words = vec![self.work.name().to_owned()];
            let rest = own.iter().filter(|(key, _)| **key != "work").filter(|pair| differs(*pair));
            words.extend(rest.map(|(key, value)| format!("{key}={value}")));
            words.extend(self.flags.iter().cloned());
            self.name = words.join(" ");
        }
        self
    }

    /// The parameters by name.
    pub fn parameters(&self) -> BTreeMap<&'static str, String> {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        BTreeMap::from([
            ("crypt", self.crypt.clone()),
            ("fec", self.fec.clone()),
            ("mode", self.mode.clone()),
            ("mtu", self.mtu.to_string()),
            ("smux", self.smuxver.to_string()),
            ("comp", yes(self.comp)),
            ("conn", self.conn.to_string()),
            ("tcp", yes(self.tcp)),
            ("direction", self.direction.name().to_owned()),
            ("work", self.work.name().to_owned()),
            ("path", self.path.clone()),
        ])
    }

    /// Description for result files.
    pub fn facts(&self) -> CaseFacts {
        let parameters = self.parameters().into_iter().map(|(key, value)| (key.to_owned(), value));
        let path = path::about(&self.path).map(|about| format!(" Path: {about}.")).unwrap_or_default();
        CaseFacts {
            name: self.name.clone(),
            group: self.group.clone(),
            parameters: parameters.collect(),
            about: format!("{}{path}", self.work.meaning()),
        }
    }

    /// Flags of both programs.
    pub fn flags(&self) -> Vec<String> {
        let (data, parity) = self.fec.split_once(':').unwrap_or(("0", "0"));
        let (mtu, smuxver) = (self.mtu.to_string(), self.smuxver.to_string());
        let pairs = [
            ("--crypt", self.crypt.as_str()),
            ("--mode", &self.mode),
            ("--datashard", data),
            ("--parityshard", parity),
            ("--mtu", &mtu),
            ("--smuxver", &smuxver),
        ];
        let mut flags: Vec<String> =
            pairs.iter().flat_map(|(flag, value)| [*flag, *value]).map(str::to_owned).collect();
        if !self.comp {
            flags.push("--nocomp".to_owned());
        }
        if self.tcp {
            flags.push("--tcp".to_owned());
        }
        flags.extend(self.flags.iter().cloned());
        flags
    }

    /// More flags of the client.
    pub fn client_flags(&self) -> Vec<String> {
        if self.conn > 1 { vec!["--conn".to_owned(), self.conn.to_string()] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_differs_from_the_defaults() {
        let case = Case {
            crypt: "none".into(),
            smuxver: 2,
            flags: vec!["--sndwnd".into(), "16".into()],
            ..Case::default()
        };
        assert_eq!(case.named().name, "bulk crypt=none smux=2 --sndwnd 16");
        assert_eq!(Case::default().named().name, "bulk");
    }

    #[test]
    fn a_case_has_every_parameter_as_a_flag() {
        let case = Case { comp: false, conn: 4, fec: "3:2".into(), ..Case::default() };
        let text = case.flags().join(" ");
        assert_eq!(
            text,
            "--crypt aes --mode fast --datashard 3 --parityshard 2 --mtu 1350 --smuxver 1 --nocomp"
        );
        assert_eq!(case.client_flags(), ["--conn", "4"]);
    }
}

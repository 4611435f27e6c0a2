//! The comparison in `ci/instructions.sh` fails when a part takes a tenth more, and only compares equal processors.
use std::path::{Path, PathBuf};
use std::process::Command;

const CI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci");

/// Whether the lists agree, and the output.
fn compare(name: &str, baseline: &str, measured: &str) -> (bool, String) {
    let file = |part: &str, text: &str| -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{part}.tsv"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let [baseline, measured] = [file("was", baseline), file("is", measured)];
    let mut command = Command::new(format!("{CI}/instructions.sh"));
    let output = command.arg("--compare").args([baseline, measured]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

const LIST: &str = "# x86_64 avx2\nseal\t1000\tdatagram\nopen\t2000\tdatagram\n";

#[test]
fn a_tenth_more_is_too_much() {
    assert!(compare("equal", LIST, LIST).0);
    assert!(compare("a-tenth", LIST, &LIST.replace("1000", "1100")).0);
    let (good, said) = compare("more", LIST, &LIST.replace("1000", "1101"));
    assert!(!good && said.contains("seal") && said.contains("MORE than 10 %"), "{said}");
    let (good, said) = compare("less", LIST, &LIST.replace("2000", "1000"));
    assert!(good && said.contains("-50.0 %") && said.contains("worth an --update"), "{said}");
}

#[test]
fn added_and_removed_parts_are_reported() {
    let one = "# x86_64 avx2\nseal\t1000\tdatagram\n";
    let (good, said) = compare("new", one, LIST);
    assert!(!good && said.contains("open") && said.contains("is not in the list"), "{said}");
    let (good, said) = compare("gone", LIST, one);
    assert!(!good && said.contains("open") && said.contains("was not counted"), "{said}");
}

#[test]
fn another_processor_is_not_compared() {
    let (good, said) = compare("other", LIST, &LIST.replace("avx2", "avx2 gfni").replace("1000", "9000"));
    assert!(
        good && said.starts_with("SKIPPED instructions: counted with \"x86_64 avx2\", here is"),
        "{said}"
    );
}

#[test]
fn the_list_in_the_repository_names_its_processor_and_its_parts() {
    let list = std::fs::read_to_string(format!("{CI}/instructions.tsv")).unwrap();
    let mut lines = list.lines();
    assert!(lines.next().unwrap().starts_with("# "));
    let mut count = 0;
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        assert!(columns.len() == 3 && columns[1].parse::<u64>().unwrap() > 0, "{line}");
        count += 1;
    }
    assert!(count >= 10);
}

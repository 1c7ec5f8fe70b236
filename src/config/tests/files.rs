//! The file and its includes, and how they are refused.

use super::*;

#[test]
fn includes_are_found_beside_the_file_in_order_each_once_and_without_the_file_itself() {
    let one = |name: &str| format!("[[target]]\nname = \"{name}\"\nurl = \"sqlite:a.db\"\n").into_bytes();
    let (directory, main) = directory(&[
        ("[x]/main.toml", b"include = [\"targets.d/*.toml\", \"targets.d/b*\", \"*.toml\", \"none/*.toml\"]\n"),
        ("[x]/targets.d/b.toml", &one("b")),
        ("[x]/targets.d/a.toml", &one("a")),
        ("[x]/targets.d/.#hidden.toml", b"not TOML at all"),
        ("[x]/last.toml", &one("last")),
    ]);
    let settings = load_file_with(&main, &[]).unwrap();
    let names: Vec<_> = settings.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "last"]);
    let place = format!("{}/[x]/main.toml:1", directory.path().display());
    assert_eq!(settings.warnings, [format!("{place}: include[3]: no file matches")]);
}

#[test]
fn an_included_file_holds_targets_only_and_shares_their_names() {
    let target: &[u8] = b"[[target]]\nname = \"orders\"\nurl = \"sqlite:a.db\"\n";
    let mut other = b"include = [\"x\"]\n".to_vec();
    other.extend(target);
    let main = [b"include = [\"d/*\"]\n", target].concat();
    assert_eq!(
        complaint(&[("f.toml", &main), ("d/a.toml", &other)]),
        "d/a.toml:1: include: belongs in the main file: an included file may contain only [[target]]\n\
         d/a.toml:3: target[0].name: \"orders\" is the name of two targets; the first is at f.toml:3"
    );
}

#[test]
fn a_file_without_targets_or_that_cannot_be_read_is_an_error_of_its_own() {
    assert_eq!(
        complaint(&[("f.toml", b"[http]\nlisten = \"[::]:1\"\n")]),
        "f.toml:1: no target: neither this file nor an included file contains a [[target]]"
    );
    let directory = TempDir::new().unwrap();
    for path in [directory.path().join("absent.toml"), directory.path().to_owned()] {
        let error = load_file_with(&path, &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot be read: ", path.display())), "{error}");
    }
    assert_eq!(
        complaint(&[("f.toml", b"[target]\nurl = \"sqlite:a.db\"\n")]),
        "f.toml:1: target: expected a list of tables, found one table: write [[target]], not [target]"
    );
}

#[test]
fn one_bad_target_among_a_thousand_is_the_one_that_is_named() {
    let mut text = String::new();
    for number in 0..1_000 {
        let interval = if number == 617 { "0s" } else { "1m" };
        text += &format!("[[target]]\nname = \"t{number}\"\nurl = \"postgres://h/d\"\ninterval = \"{interval}\"\n");
    }
    assert_eq!(
        complaint(&[("f.toml", text.as_bytes())]),
        "f.toml:2472: target[617].interval: too short: expected 1s to 1day"
    );
}

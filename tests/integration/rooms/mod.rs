//! The rooms of `src/`, floor by floor, as `ARCHITECTURE.md` lists them: a file imports only from lower floors or its
//! own room, and no files form a circle.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::{Imports, imports_of};

/// The first line of the list in `ARCHITECTURE.md`; it ends with the fence.
const LIST: &str = "```floors\n";

/// The rooms from the top down; those of one floor do not import each other.
struct Floors(Vec<Vec<String>>);

impl Floors {
    /// Reads the list in a page: each line is a floor, its words are rooms.
    fn of(page: &str) -> Self {
        let (_, list) = page.split_once(LIST).expect("a list of floors");
        let (list, _) = list.split_once("```").expect("the end of the list");
        Self(list.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
    }

    /// The room of a file (the longest name that fits), and its floor, counted from the top.
    fn room_of(&self, file: &str) -> Option<(usize, &str)> {
        let path = file.trim_end_matches(".rs");
        let floors = self.0.iter().enumerate();
        let rooms = floors.flat_map(|(floor, rooms)| rooms.iter().map(move |room| (floor, room.as_str())));
        let fits = |room: &str| path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        rooms.filter(|(_, room)| fits(room)).max_by_key(|(_, room)| room.len())
    }

    /// The faults of these imports, one per line.
    fn judge(&self, imports: &Imports) -> Vec<String> {
        let mut wrong = Vec::new();
        for (file, targets) in imports {
            let Some((floor, room)) = self.room_of(file) else {
                // The crate's root declares the rooms, and is not in one.
                if file != "lib.rs" || !targets.is_empty() {
                    wrong.push(format!("{file} is in no room"));
                }
                continue;
            };
            for target in targets {
                match self.room_of(target) {
                    Some((below, _)) if below > floor => {}
                    Some((_, other)) if other == room => {}
                    _ => wrong.push(format!("{file} imports {target}, which is not below it")),
                }
            }
        }
        wrong.extend(circles(imports).into_iter().map(|files| format!("a circle: {}", files.join(", "))));
        for room in self.0.iter().flatten() {
            if !imports.keys().any(|file| self.room_of(file).is_some_and(|(_, of)| of == room)) {
                wrong.push(format!("the room {room} has no file"));
            }
        }
        wrong
    }
}

/// The sets of files in which each file reaches all the others.
fn circles(imports: &Imports) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reach(file, imports))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let back = |other: &&&str| reached.get(**other).is_some_and(|others| others.contains(file));
        let circle: Vec<&str> = others.iter().filter(back).copied().collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// Every file that a file imports, directly or through others.
fn reach<'a>(file: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = imports[file].iter().map(String::as_str).collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(imports.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

#[test]
fn a_room_imports_only_what_lies_below_it_and_no_files_form_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let wrong = Floors::of(&page).judge(&imports_of(&root.join("src")));
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// The faults of a small tree of files, on these floors.
fn faults(floors: &str, files: &[(&str, &str)]) -> Vec<String> {
    let src = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = src.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Floors::of(&format!("{LIST}{floors}\n```\n")).judge(&imports_of(src.path()))
}

#[test]
fn an_import_of_a_higher_or_neighbouring_room_is_found_in_every_spelling() {
    let upward = "low.rs imports high/mod.rs, which is not below it";
    for text in [
        "use crate::high::Thing;",
        "pub(crate) use crate::high::{self, Thing as Other};",
        "use crate::{\n    high::Thing,\n};",
        "use super::high::*;",
        "use self::super::high;",
        "fn f() -> Option<crate::high::Thing> { None }",
        "fn f() { g(format!(\"{}\", crate::high::name())); }",
        "mod inner { use super::super::high::Thing; }",
        "mod inner { fn f() { use crate::high; } }",
    ] {
        let found = faults("high\nlow", &[("lib.rs", "mod high; mod low;"), ("high/mod.rs", ""), ("low.rs", text)]);
        assert_eq!(found, [upward], "{text}");
    }
    let beside = [("one.rs", "use crate::two::Thing;"), ("two.rs", "")];
    assert_eq!(faults("one two", &beside), ["one.rs imports two.rs, which is not below it"]);
    assert_eq!(faults("one\ntwo", &beside), Vec::<String>::new());
}

#[test]
fn a_higher_rooms_name_in_a_comment_a_text_or_a_test_is_not_an_import() {
    let text = r#"
        //! See [`crate::high`].
        /* use crate::high::Thing; */
        pub(in crate::low) const TEXT: &str = "crate::high::Thing";
        #[cfg(test)]
        use crate::high::Thing;
        #[cfg(test)]
        mod tests {
            use crate::high::Thing;
        }
    "#;
    assert_eq!(faults("high\nlow", &[("high.rs", ""), ("low.rs", text)]), Vec::<String>::new());
}

#[test]
fn a_circle_is_also_found_inside_a_room_and_however_long_it_is() {
    let through_the_parent = [
        ("room.rs", "mod one; mod two; pub fn f() { one::f() }"),
        ("room/one.rs", "use super::two; pub fn f() { two::g() }"),
        ("room/two.rs", "pub fn g() { super::f() }"),
    ];
    assert_eq!(faults("room", &through_the_parent), ["a circle: room.rs, room/one.rs, room/two.rs"]);
    let siblings = [
        ("room/mod.rs", "mod one; mod two;"),
        ("room/one.rs", "use super::two::B; pub struct A;"),
        ("room/two.rs", "use crate::room::one; pub struct B(one::A);"),
    ];
    assert_eq!(faults("room", &siblings), ["a circle: room/one.rs, room/two.rs"]);
    let alias = [
        ("room/mod.rs", "pub mod part;"),
        ("room/part.rs", "use crate::room; pub fn f() { room::other::g() }"),
        ("room/other.rs", "use super::part::f;"),
    ];
    assert_eq!(faults("room", &alias), ["a circle: room/other.rs, room/part.rs"]);
}

#[test]
fn a_file_without_a_room_and_a_room_without_a_file_are_found() {
    let found = faults("room\nempty", &[("room.rs", ""), ("stray.rs", "")]);
    assert_eq!(found, ["stray.rs is in no room", "the room empty has no file"]);
}

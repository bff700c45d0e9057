//! Whatever is read: no panic, no value in an error, and what is written is read back.

use indexmap::IndexMap;
use proptest::prelude::*;
use ultrai_deploy_config::{
    dotenv::{self, Outside, quote},
    interpolate::{self, Failure, Value, interpolate},
    placeholder::{CLOSE, OPEN},
    template::{self, Dotenv},
};

/// Stands for a value that nobody may see.
const CANARY: &str = "hunter2canary";

/// Texts that are made of what means something.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "A", "B", "NO", "EMPTY", "=", ":", "\n", "\r\n", "\r", " ", "\t", "#", " #", "'", "\"", "\\", "$", "$$",
            "${", "}", "{", "{{", "}}", "{%", "%}", "{#", "#}", ":-", ":?", "+", "-", "?", "export ", "\u{FEFF}",
            "\u{A0}", "\u{85}", "\0", "\u{E000}", "\u{E002}", "0", "101", "if", "for x in ", "endif", "endfor",
            "raw", "endraw", "else", "|", "~", "*", "(", ")", "[", "]", ".", ",", "not ", "é", "A=", "B=\"",
            "{{A}}", "{{ B }}", "${A}", "$B", "${NO:-", "{% if A %}", "{% endif %}", "\\n", "\\0",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "A" => Some(format!("{CANARY}\"'$B{{{{A}}}}")),
        "B" => Some(CANARY.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn shown(name: &str) -> Option<Value> {
    lookup(name).map(|text| Value { empty: text.is_empty(), text })
}

fn with_lookup<T>(run: impl FnOnce(&Outside<'_>) -> T) -> T {
    let earlier = IndexMap::new();
    run(&Outside { real: &lookup, shown: &shown, is_secret: &|_| false, earlier: &earlier })
}

/// Values that a dotenv file can hold.
fn values() -> impl Strategy<Value = String> {
    let holds = |text: &String| !text.contains(['\0', OPEN, CLOSE]);
    prop_oneof![pieces(), any::<String>()].prop_filter("no dotenv file holds these", holds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_read_no_error_shows_a_value(text in pieces()) {
        let reading = with_lookup(|outside| dotenv::read(&text, outside));
        for error in &reading.errors {
            prop_assert!(!format!("{error:?} {error}").contains(CANARY), "{error}");
            prop_assert!(error.line >= 1 && error.line <= text.split('\n').count());
        }
        prop_assert_eq!(
            dotenv::parse(&text, &lookup).map_err(|error| error.line),
            match reading.errors.first() {
                None => Ok(reading.entries.into_iter().map(|(name, entry)| (name, entry.real)).collect()),
                Some(error) => Err(error.line),
            }
        );
        drop(dotenv::parse_raw(&text));
        drop(interpolate(&text, &shown, &mut |_| {}));
        if let Ok(names) = interpolate::names(&text) {
            let known = |name: &str| {
                assert!(names.contains(name), "{name} is not among {names:?}");
                shown(name)
            };
            let filled = interpolate(&text, &known, &mut |_| {});
            prop_assert!(!matches!(filled, Err(Failure::Syntax(_))), "{:?}", filled);
        }
        let mut errors = template::render(&text, &lookup).err().unwrap_or_default();
        match Dotenv::parse(&text) {
            Ok(template) => errors.extend(with_lookup(|outside| template.fill(outside)).err().unwrap_or_default()),
            Err(wrong) => errors.extend(wrong),
        }
        for error in errors {
            prop_assert!(!format!("{error:?} {error}").contains(CANARY), "{error}");
            prop_assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}");
        }
    }

    #[test]
    fn errors_never_show_what_is_written(before in pieces(), after in pieces()) {
        // A name is no value; what has a sign in it is no name.
        let text = format!("KEY='{CANARY}'\nKEY2=+{CANARY}{before}\nKEY3=\"{after}+{CANARY}\"{before}\n");
        let reading = with_lookup(|outside| dotenv::read(&text, outside));
        for error in &reading.errors {
            let shown = error.to_string();
            prop_assert!(!shown.contains(CANARY) || shown.contains("is required"), "{error}");
        }
    }

    #[test]
    fn what_is_quoted_is_read_back(value in values(), export in any::<bool>()) {
        let written = format!("{}KEY={} # {value:?}\nNEXT=1\n", if export { "export " } else { "" }, quote(&value));
        prop_assume!(!written.contains(['\0', OPEN, CLOSE]));
        let variables = dotenv::parse(&written, &lookup).unwrap();
        prop_assert_eq!(&variables["KEY"], &value);
        prop_assert_eq!(&variables["NEXT"], "1");
        prop_assert!(!quote(&value).contains('\n'));
    }

    #[test]
    fn what_is_put_into_a_template_comes_out_as_it_is(value in any::<String>(), other in pieces()) {
        let given = |name: &str| match name {
            "V" => Some(value.clone()),
            "W" => Some(other.clone()),
            _ => None,
        };
        let text = render_or_panic("<{{V}}|{{ W }}>\n", &given);
        prop_assert_eq!(text, format!("<{value}|{other}>\n"));
        let visible = |name: &str| given(name).map(|text| Value { empty: text.is_empty(), text });
        let earlier = IndexMap::new();
        let outside = Outside { real: &given, shown: &visible, is_secret: &|_| false, earlier: &earlier };
        let text = "A={{V}}\nB=\"<{{V}}|$W>\"\nC='{{W}}{{V}}'\nD=${NO:-{{V}}}\nE=$W{{ V }} # c\nF=$B\n";
        let entries = Dotenv::parse(text).unwrap().fill(&outside).unwrap();
        let mixed = format!("<{value}|{other}>");
        let expected = [
            value.clone(), mixed.clone(), format!("{other}{value}"), value.clone(), format!("{other}{value}"), mixed,
        ];
        prop_assert_eq!(entries.into_values().map(|entry| entry.real).collect::<Vec<_>>(), expected);
    }
}

fn render_or_panic(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    template::render(text, lookup).unwrap_or_else(|errors| panic!("{errors:?}"))
}

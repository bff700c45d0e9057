use indexmap::IndexMap;

use super::*;
use crate::{
    dotenv::{Entry, Outside},
    interpolate::Value as Shown,
    placeholder::placeholder,
};

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "A" => "a",
        "EMPTY" => "",
        "WILD" => "{{A}} {% if %} {# ${A} $$ 'q' \"d\" \\n # <&> \u{E002}0\u{E002}\nend",
        "SECRET" => "hunter2",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn values_are_put_in_as_they_are() {
    let wild = lookup("WILD").unwrap();
    for (text, expected) in [
        ("", ""),
        ("no tags, $A ${A} { } } %}\n", "no tags, $A ${A} { } } %}\n"),
        ("{{A}}|{{ A }}|{{EMPTY}}\n\n", "a|a|\n\n"),
        ("{{WILD}}", wild.as_str()),
        ("a\r\n{{A}}\r\n", "a\r\na\r\n"),
        ("{% if A == \"a\" %}yes{% elif A == 'b' %}b{% else %}no{% endif %}", "yes"),
        ("{% for x in [1, 2] %}{{ x }};{% endfor %}", "1;2;"),
        ("{# {{NO}} #}{% raw %}{{NO}}{% endraw %}{{ '{{' }}", "{{NO}}{{"),
    ] {
        assert_eq!(render(text, &lookup).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn all_variables_that_are_not_set_are_named_with_their_places() {
    let text = "é {{X}}\n{% raw %}{{Y}}{% endraw %} {{ 'Y' }}{{ A }} {{ Y }}\n  {% if Z %}{{X}}{% endif %}";
    let errors = render(text, &lookup).unwrap_err();
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let expected = [
        "line 1, column 5: the variable X is not set",
        "line 2, column 48: the variable Y is not set",
        "line 3, column 9: the variable Z is not set",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_is_not_understood_has_its_line_and_no_value() {
    for (text, line) in [
        ("a\n{{", 2),
        ("a\nb {{ A", 2),
        ("\n\n{{ A B }}", 3),
        ("{% if A %}", 1),
        ("\n{% endif %}", 2),
        ("{{ SECRET.x }}", 1),
        ("{{ SECRET() }}", 1),
        ("\n{{ SECRET + 1 }}", 2),
        ("{{ SECRET | nothing }}", 1),
        ("{{ SECRET * 2 }}", 1),
        ("{% set x = SECRET %}", 1),
        ("{% include 'x' %}", 1),
        ("{# a", 1),
        ("{% raw %}", 1),
        ("{{ 'a }}", 1),
        ("{{ SECRET / 'x' }}", 1),
        ("{% for x in 5 %}{% endfor %}", 1),
    ] {
        let errors = render(text, &lookup).unwrap_err();
        assert_eq!(errors[0].line, line, "{text:?}: {errors:?}");
        assert!(!format!("{errors:?} {}", errors[0]).contains("hunter2"), "{text:?}: {errors:?}");
    }
}

#[test]
fn no_template_takes_for_ever() {
    let digits = "for x in '0123456789'";
    let loops = format!("{}x{}", format!("{{% {digits} %}}").repeat(12), "{% endfor %}".repeat(12));
    let errors = render(&loops, &lookup).unwrap_err();
    assert!(errors[0].to_string().contains("too many steps"), "{errors:?}");
    let long = |name: &str| (name == "A").then(|| "x".repeat(1 << 20));
    let errors = render(&"{{A}}".repeat(100), &long).unwrap_err();
    assert!(errors[0].to_string().contains("64 MiB"), "{errors:?}");
    for text in [
        "{% if A %}".repeat(100_000),
        format!("{{{{ {}A }}}}", "not ".repeat(400)),
        format!("{{{{ A{} }}}}", " ~ A".repeat(400)),
        format!("{{{{ {}A{} }}}}", "(".repeat(900), ")".repeat(900)),
        format!("{{{{ {}A{} }}}}", "[".repeat(900), "]".repeat(900)),
        format!("{{{{ A{} }}}}", ".x".repeat(900)),
        format!("{{{{ {}A }}}}", "-".repeat(1900)),
        format!("{{{{ A{} }}}}", " if A else A".repeat(150)),
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
        format!("{{{{ {}A }}}}", "not ".repeat(60)),
        format!("{{{{ A{} }}}}", " ~ A".repeat(30)),
        format!("{{{{ {}A{} }}}}", "(".repeat(30), ")".repeat(30)),
        format!("{}{{{{A}}}}{}", "{% if A %}".repeat(32), "{% endif %}".repeat(32)),
        "{{".repeat(100_000),
        format!("{{{{ {} }}}}", "A ".repeat(5_000_000)),
    ] {
        // What counts is that it ends.
        drop(render(&text, &lookup));
    }
    let text = "{{A}} text ".repeat(100_000);
    assert_eq!(render(&text, &lookup).unwrap().len(), 700_000);
}

fn fill(text: &str) -> Result<IndexMap<String, Entry>, Vec<TemplateError>> {
    let shown = |name: &str| {
        let text = lookup(name)?;
        let empty = text.is_empty();
        let text = if name == "SECRET" { placeholder(name) } else { text };
        Some(Shown { text, empty })
    };
    let outside = Outside {
        real: &lookup,
        shown: &shown,
        is_secret: &|name| name == "KEY",
        earlier: &IndexMap::new(),
    };
    Dotenv::parse(text)?.fill(&outside)
}

#[test]
fn values_in_dotenv_templates_are_not_read_again() {
    let wild = lookup("WILD").unwrap();
    for (text, expected) in [
        ("V={{WILD}}", wild.clone()),
        ("V={{ WILD }} # comment", wild.clone()),
        ("V='{{WILD}}'", wild.clone()),
        ("V=\"{{WILD}}\"", wild.clone()),
        ("V=${NO:-{{WILD}}}", wild.clone()),
        ("V=${NO:-${NO:-{{WILD}}}}", wild.clone()),
        ("V=$A{{A}}${A}", "aaa".to_owned()),
        ("V='$A{{A}}'", "$Aa".to_owned()),
        ("V=a{{EMPTY}}b", "ab".to_owned()),
        ("V=$${{A}}", "$a".to_owned()),
        ("V=${{A}}", "$a".to_owned()),
        ("V=$WILD", wild.clone()),
        ("V={{ \"{{\" }}A}}", "{{A}}".to_owned()),
        ("V=\u{E002}{{A}}", "\u{E002}a".to_owned()),
        ("W={{WILD}}\nV=$W", wild.clone()),
        ("V=\"{{A}}\\n{{A}}\n\"", "a\na\n".to_owned()),
        ("V={ {A} }", "{ {A} }".to_owned()),
    ] {
        let entries = fill(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert_eq!(entries["V"].real, expected, "{text}");
    }
}

#[test]
fn what_is_made_from_a_secret_is_one() {
    let text = "URL=redis://:{{SECRET}}@db\nAGAIN=${URL}/0\nKEY={{A}}\nPLAIN={{A}}\nA\n";
    let entries = fill(text).unwrap();
    assert_eq!(entries["AGAIN"].real, "redis://:hunter2@db/0");
    let secret: Vec<_> = entries.iter().filter(|(_, entry)| entry.is_secret()).collect();
    let names: Vec<_> = secret.iter().map(|(name, entry)| (name.as_str(), entry.line)).collect();
    assert_eq!(names, [("URL", 1), ("AGAIN", 2), ("KEY", 3)]);
    assert!(!format!("{entries:?}").contains("hunter2"));
    let template = Dotenv::parse(text).unwrap();
    let statements = template.statements();
    assert_eq!(statements[0].inserted().collect::<Vec<_>>(), ["SECRET"]);
    assert_eq!(statements[1].interpolated().collect::<Vec<_>>(), ["URL"]);
    assert!(statements[4].is_inherited() && statements[4].line() == 5);
}

#[test]
fn all_that_a_dotenv_template_lacks_is_told_at_once() {
    let text = "# {{NOT_THIS}}\nV={{X}}{{X}}{{Y}}\nW={{A}}\nU='{{Z}}'\nT=${N:?say {{SECRET}}}\n";
    let errors = fill(text).unwrap_err();
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let expected = [
        "line 2: the variable X is not set",
        "line 2: the variable Y is not set",
        "line 4: the variable Z is not set",
        "line 5: in the value of T, N is required: say {{SECRET}}",
    ];
    assert_eq!(shown, expected);
    let broken = "A={{\nB={{ b c }}\nC={% if %}\nD={{ 1 }}\nE=${\nF G\nH={# x\n";
    let lines: Vec<_> = fill(broken).unwrap_err().iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_templates_of_the_plan_are_filled() {
    let names = ["NODE_ENV", "VERSION", "MONGODB_URI", "CORS_ORIGINS"];
    let lines = names.map(|name| format!("{name}={{{{{name}}}}}\n"));
    let text = format!("# .env.template\n# Base Configuration\n{}\n", lines.join("\n# Next\n"));
    let real = |name: &str| Some(format!("value of {name} # $"));
    let shown = |name: &str| real(name).map(|text| Shown { text, empty: false });
    let none = |_: &str| false;
    let outside =
        Outside { real: &real, shown: &shown, is_secret: &none, earlier: &IndexMap::new() };
    let entries = Dotenv::parse(&text).unwrap().fill(&outside).unwrap();
    assert_eq!(entries.keys().collect::<Vec<_>>(), names);
    assert_eq!(entries["MONGODB_URI"].real, "value of MONGODB_URI # $");
}

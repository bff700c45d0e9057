//! What a result means. Pure.

use std::fmt;

use serde_json::{Value, json};
use ultrai_deploy_core::evidence::MAX_EVIDENCE;

use super::{BadSeries, Meaning, PrometheusSpec, answer::Sample};
use crate::seen::beginning;

/// Longest label value and warning that is kept, in bytes.
const MAX_TEXT: usize = 200;
/// Series beyond these are counted only.
const MAX_SERIES: usize = 40;

/// The judgement of a result, with the reason for people where it is no pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Pass,
    Fail(String),
    Inconclusive(String),
}

/// Compares a result with what it must be.
pub(super) fn judge(spec: &PrometheusSpec, samples: &[Sample]) -> Judged {
    if samples.is_empty() {
        return mean(spec.no_data, "the query found no data".to_owned());
    }
    let meaning = |sample: &Sample| match (sample.value.is_nan(), is_bad(spec, sample.value)) {
        (true, _) => spec.nan,
        (false, true) => Meaning::Fail,
        (false, false) => Meaning::Pass,
    };
    let of = |wanted| samples.iter().filter(move |sample| meaning(sample) == wanted);
    let (bad, unclear) = (of(Meaning::Fail), of(Meaning::Inconclusive));
    let (is_bad, is_unclear) = match spec.bad_series {
        BadSeries::Any => (bad.clone().count() > 0, unclear.clone().count() > 0),
        BadSeries::All => {
            let could_be = of(Meaning::Pass).count() == 0;
            (could_be && unclear.clone().count() == 0, could_be)
        }
    };
    let told = |mut found: Box<dyn Iterator<Item = &Sample> + '_>| {
        let first = found.next().map(|sample| one(spec, sample)).unwrap_or_default();
        match found.count() {
            0 => first,
            more => format!("{first}, and {more} more of {} series", samples.len()),
        }
    };
    if is_bad {
        Judged::Fail(told(Box::new(bad)))
    } else if is_unclear {
        Judged::Inconclusive(told(Box::new(unclear)))
    } else {
        Judged::Pass
    }
}

/// The result as evidence: a JSON text within [`MAX_EVIDENCE`].
pub(super) fn measurement(spec: &PrometheusSpec, samples: &[Sample], notes: &[String]) -> String {
    let mut kept = samples.len().min(MAX_SERIES);
    loop {
        let text = json!({
            "query": spec.query,
            "time": samples.first().map(|sample| sample.time),
            "series": samples[..kept].iter().map(series).collect::<Vec<_>>(),
            "series_left_out": samples.len() - kept,
            "warnings": notes.iter().take(5).map(|note| beginning(note, MAX_TEXT)).collect::<Vec<_>>(),
        })
        .to_string();
        if text.len() < MAX_EVIDENCE || kept == 0 {
            return text;
        }
        kept /= 2;
    }
}

fn mean(meaning: Meaning, why: String) -> Judged {
    match meaning {
        Meaning::Pass => Judged::Pass,
        Meaning::Fail => Judged::Fail(why),
        Meaning::Inconclusive => Judged::Inconclusive(why),
    }
}

fn is_bad(spec: &PrometheusSpec, value: f64) -> bool {
    spec.fails_when.as_ref().is_some_and(|bad| bad.holds(value))
        || spec.passes_when.as_ref().is_some_and(|good| !good.holds(value))
}

fn one(spec: &PrometheusSpec, sample: &Sample) -> String {
    let labels = Labels(sample);
    match (&spec.fails_when, &spec.passes_when) {
        (Some(bad), _) => format!("{labels}{} (it must not be {bad})", sample.value),
        (None, Some(good)) => format!("{labels}{} (it must be {good})", sample.value),
        (None, None) => format!("{labels}{}", sample.value),
    }
}

fn series(sample: &Sample) -> Value {
    let labels: serde_json::Map<_, _> = sample
        .labels
        .iter()
        .map(|(name, value)| (beginning(name, MAX_TEXT), json!(beginning(value, MAX_TEXT))))
        .collect();
    // JSON has no NaN and no infinity.
    let value = if sample.value.is_finite() {
        json!(sample.value)
    } else {
        json!(sample.value.to_string())
    };
    json!({ "labels": labels, "value": value })
}

/// `{job="api"} is `; nothing but `it is ` without labels.
struct Labels<'a>(&'a Sample);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.labels.is_empty() {
            return f.write_str("the value is ");
        }
        let labels: Vec<_> =
            self.0.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{{{}}} is ", beginning(&labels.join(","), MAX_TEXT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(more: &Value) -> PrometheusSpec {
        let mut whole = json!({"url": "http://p:9090", "query": "q", "fails_when": "> 0.05"});
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn samples(values: &[f64]) -> Vec<Sample> {
        let sample = |(index, value): (usize, &f64)| Sample {
            labels: [("pod".to_owned(), format!("web-{index}"))].into(),
            time: 1.0,
            value: *value,
        };
        values.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn what_a_result_means() {
        let (pass, fail, unclear) = ("pass", "fail", "unclear");
        let nan = f64::NAN;
        for (more, values, meant) in [
            (json!({}), vec![0.05], pass),
            (json!({}), vec![0.051], fail),
            (json!({}), vec![0.0, 0.1], fail),
            (json!({"bad_series": "all"}), vec![0.0, 0.1], pass),
            (json!({"bad_series": "all"}), vec![0.1, 0.1], fail),
            (json!({}), vec![], unclear),
            (json!({"no_data": "pass"}), vec![], pass),
            (json!({"no_data": "fail"}), vec![], fail),
            (json!({}), vec![nan], unclear),
            (json!({}), vec![0.0, nan], unclear),
            (json!({}), vec![0.1, nan], fail),
            (json!({"nan": "pass"}), vec![nan], pass),
            (json!({"nan": "fail"}), vec![nan], fail),
            (json!({"bad_series": "all"}), vec![0.1, nan], unclear),
            (json!({"bad_series": "all"}), vec![0.0, nan], pass),
            (json!({"bad_series": "all", "nan": "fail"}), vec![0.1, nan], fail),
            (json!({}), vec![f64::INFINITY], fail),
            (json!({"fails_when": null, "passes_when": "== 1"}), vec![1.0], pass),
            (json!({"fails_when": null, "passes_when": "== 1"}), vec![1.0, 0.0], fail),
        ] {
            let judged = match judge(&spec(&more), &samples(&values)) {
                Judged::Pass => pass,
                Judged::Fail(_) => fail,
                Judged::Inconclusive(_) => unclear,
            };
            assert_eq!(judged, meant, "{more} {values:?}");
        }
    }

    #[test]
    fn the_reason_names_the_series_and_the_limit() {
        let judged = judge(&spec(&json!({})), &samples(&[0.0, 0.2, 0.3]));
        let told = "{pod=\"web-1\"} is 0.2 (it must not be > 0.05), and 1 more of 3 series";
        assert_eq!(judged, Judged::Fail(told.to_owned()));
    }

    #[test]
    fn evidence_is_bounded_json_also_of_values_that_json_does_not_have() {
        let mut many = samples(&[f64::NAN; 500]);
        for sample in &mut many {
            sample.labels.insert("long".to_owned(), "ä".repeat(5000));
        }
        let notes = vec!["w".repeat(9000); 9];
        let text = measurement(&spec(&json!({"query": "q".repeat(4000)})), &many, &notes);
        assert!(text.len() < MAX_EVIDENCE, "{}", text.len());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["series"][0]["value"], "NaN");
        let kept = value["series"].as_array().unwrap().len();
        assert_eq!(value["series_left_out"], 500 - kept);
    }
}

//! Filter rules, replaced while the daemon runs.

use serde::{Deserialize, Serialize, Serializer};

use super::{Scratch, field_name, written_field};

/// The rules; none by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rules {
    /// An event that one of these takes out is filtered.
    pub filters: Vec<Filter>,
    /// Events older than this, by their event time, are filtered. Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<f64>,
}

/// Takes out events of a type whose field lies outside of a range. An event without the field
/// stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only events of this type; any if absent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Flattened name of the numeric field (`value`, `a.b`; `data.` in front is allowed).
    #[serde(serialize_with = "as_written")]
    pub field: String,
    /// Values below are taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Values above are taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// So that what is shown can be sent back.
fn as_written<S: Serializer>(field: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&written_field(field))
}

impl Filter {
    /// Whether it can take anything out and leave anything in; otherwise what is wrong.
    pub fn check(&self) -> Result<(), String> {
        match (self.min, self.max) {
            _ if self.field.is_empty() => Err("field is empty".to_owned()),
            (None, None) => Err("it needs min, max or both".to_owned()),
            (Some(min), Some(max)) if min > max => Err(format!("min {min} is above max {max}")),
            _ => Ok(()),
        }
    }
}

/// What may be typed: today's form, and the prototype's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    filters: Option<Vec<Filter>>,
    max_age_seconds: Option<f64>,
    sensor_threshold: Option<f64>,
}

impl Rules {
    /// Reads rules from JSON; the error says what is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let typed: Typed = serde_json::from_slice(body).map_err(|error| {
            format!(
                "{error}; expected {{\"filters\":[{{\"type\":\"sensor_data\",\"field\":\"value\",\
                 \"min\":10}}],\"max_age_seconds\":3600}}"
            )
        })?;
        let mut filters = typed.filters.unwrap_or_default();
        if let Some(min) = typed.sensor_threshold {
            filters.push(Filter {
                kind: Some("sensor_data".to_owned()),
                field: "value".to_owned(),
                min: Some(min),
                max: None,
            });
        }
        for (at, filter) in filters.iter_mut().enumerate() {
            filter.field = field_name(&filter.field).to_owned();
            filter.check().map_err(|wrong| format!("filters[{at}]: {wrong}"))?;
        }
        if let Some(age) = typed.max_age_seconds
            && age <= 0.0
        {
            return Err(format!("max_age_seconds is {age}; it must be above 0"));
        }
        Ok(Self { filters, max_age_seconds: typed.max_age_seconds })
    }

    /// The rules as JSON, in today's form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            debug_assert!(false, "{error}");
            String::from("{}")
        })
    }

    /// Whether an event stays. Times are microseconds since the epoch.
    pub fn keeps(&self, event: &Scratch, event_time_us: i64, now_us: i64) -> bool {
        if let Some(age_s) = self.max_age_seconds
            && now_us.saturating_sub(event_time_us) as f64 > age_s * 1e6
        {
            return false;
        }
        self.filters.iter().all(|filter| {
            if filter.kind.as_deref().is_some_and(|kind| kind != event.kind()) {
                return true;
            }
            event.field(&filter.field).is_none_or(|value| {
                filter.min.is_none_or(|min| value >= min) && filter.max.is_none_or(|max| value <= max)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prototypes_form_means_the_same() {
        let new = br#"{"filters":[{"type":"sensor_data","field":"value","min":10}],"max_age_seconds":3600}"#;
        let old = br#"{"sensor_threshold":10,"max_age_seconds":3600}"#;
        assert_eq!(Rules::parse(new), Rules::parse(old));
        let rules = Rules::parse(new).unwrap();
        assert_eq!(Rules::parse(rules.to_json().as_bytes()).unwrap(), rules);
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let written = r#"{"filters":[{"field":"data.data.x","min":1.0}]}"#;
        let rules = Rules::parse(written.as_bytes()).unwrap();
        assert_eq!((rules.filters[0].field.as_str(), rules.to_json().as_str()), ("data.x", written));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, said) in [
            (r#"{"filter":[]}"#, "filter"),
            (r#"{"filters":[{"field":"value"}]}"#, "filters[0]: it needs min, max or both"),
            (r#"{"filters":[{"field":"","min":1}]}"#, "filters[0]: field is empty"),
            (r#"{"filters":[{"field":"v","min":2,"max":1}]}"#, "min 2 is above max 1"),
            (r#"{"max_age_seconds":-1}"#, "-1"),
            ("nonsense", "expected"),
        ] {
            let error = Rules::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
    }
}

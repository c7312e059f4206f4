//! How heavy, how far, how many floors: exact decimals, in the unit the athlete typed.

use std::{borrow::Cow, fmt};

use rust_decimal::{Decimal, RoundingStrategy, dec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::OutOfRange;

/// Kilograms in one pound: exact by the international agreement of 1959.
pub const KG_PER_LB: Decimal = dec!(0.45359237);

/// The heaviest weight that a set may have, in kg.
const MAX_KG: Decimal = dec!(1000);

/// The unit in which an athlete types weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum WeightUnit {
    /// Kilograms.
    #[default]
    Kg,
    /// Pounds of 0.45359237 kg.
    Lb,
}

impl WeightUnit {
    /// A weight in kg, told in this unit, exact for kg and to 28 digits for lb.
    pub fn from_kg(self, kg: Decimal) -> Decimal {
        match self {
            Self::Kg => kg,
            Self::Lb => kg / KG_PER_LB,
        }
    }
}

/// The unit in which an athlete reads distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DistanceUnit {
    /// Kilometres.
    #[default]
    Km,
    /// Miles of 1609.344 m.
    Mi,
}

/// A weight as the athlete typed it, with its exact value in kg beside it.
///
/// The decimals are JSON strings, because a JSON number would pass through binary floats in most
/// readers, and no float may decide a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Weight {
    /// What the athlete typed; at most six decimals.
    #[schemars(with = "DecimalText")]
    value: Decimal,
    unit: WeightUnit,
    /// The exact weight, from 0 to 1000 kg.
    #[schemars(with = "DecimalText", extend("x-unit" = "kg"))]
    kg: Decimal,
}

impl Weight {
    /// A weight of 0 to 1000 kg, in either unit, with at most six decimals.
    pub fn new(value: Decimal, unit: WeightUnit) -> Result<Self, OutOfRange> {
        let value = value.normalize();
        let kg = match unit {
            WeightUnit::Kg => value,
            WeightUnit::Lb => value * KG_PER_LB,
        };
        if value.is_sign_negative() && !value.is_zero() || kg > MAX_KG {
            return Err(OutOfRange("from 0 to 1000 kg (2204.62 lb)"));
        }
        if value.scale() > 6 {
            return Err(OutOfRange("a number with at most 6 decimals"));
        }
        Ok(Self { value, unit, kg: kg.normalize() })
    }

    /// What the athlete typed.
    pub fn value(self) -> Decimal {
        self.value
    }

    /// The unit the athlete typed it in.
    pub fn unit(self) -> WeightUnit {
        self.unit
    }

    /// The exact weight in kg: what sums are made of.
    pub fn kg(self) -> Decimal {
        self.kg
    }

    /// The weight rounded half-even to 0.001 kg: what records and boards compare, so that 135 lb
    /// ties with an exported 61.23492 kg.
    pub fn comparable_kg(self) -> Decimal {
        self.kg.round_dp_with_strategy(3, RoundingStrategy::MidpointNearestEven)
    }
}

/// A distance of 0 to 1 000 000 metres with at most three decimals; a JSON string in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metres(Decimal);

impl Metres {
    /// Takes metres.
    pub fn new(metres: Decimal) -> Result<Self, OutOfRange> {
        let metres = metres.normalize();
        if metres < Decimal::ZERO || metres > dec!(1_000_000) {
            return Err(OutOfRange("from 0 to 1000000 metres"));
        }
        if metres.scale() > 3 {
            return Err(OutOfRange("a number with at most 3 decimals"));
        }
        Ok(Self(metres))
    }

    /// The distance in metres.
    pub fn get(self) -> Decimal {
        self.0
    }
}

impl JsonSchema for Metres {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Metres".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DecimalText::json_schema(generator);
        schema.insert("x-unit".to_owned(), "m".into());
        schema.insert("x-bounds".to_owned(), "0 to 1000000, at most 3 decimals".into());
        schema
    }
}

/// How tall somebody is: 50 to 280 centimetres with at most one decimal; a JSON string in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Height(Decimal);

impl Height {
    /// Takes centimetres.
    pub fn new(centimetres: Decimal) -> Result<Self, OutOfRange> {
        let centimetres = centimetres.normalize();
        if centimetres < dec!(50) || centimetres > dec!(280) {
            return Err(OutOfRange("from 50 to 280 centimetres"));
        }
        if centimetres.scale() > 1 {
            return Err(OutOfRange("a number with at most 1 decimal"));
        }
        Ok(Self(centimetres))
    }

    /// The height in centimetres.
    pub fn get(self) -> Decimal {
        self.0
    }
}

impl JsonSchema for Height {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Height".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DecimalText::json_schema(generator);
        schema.insert("x-unit".to_owned(), "cm".into());
        schema.insert("x-bounds".to_owned(), "50 to 280, at most 1 decimal".into());
        schema
    }
}

/// Something else that a set is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum MetricKind {
    /// Floors climbed.
    Floors,
    /// Steps taken.
    Steps,
}

/// What a set came to in something else than repetitions, weight, distance or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CustomMetric {
    /// What was counted.
    kind: MetricKind,
    /// How many.
    #[schemars(with = "DecimalText", extend("x-bounds" = "0 to 1000000, at most 3 decimals"))]
    value: Decimal,
}

impl CustomMetric {
    /// Takes 0 to 1 000 000 of something, with at most three decimals.
    pub fn new(kind: MetricKind, value: Decimal) -> Result<Self, OutOfRange> {
        let value = value.normalize();
        if value < Decimal::ZERO || value > dec!(1_000_000) {
            return Err(OutOfRange("from 0 to 1000000"));
        }
        if value.scale() > 3 {
            return Err(OutOfRange("a number with at most 3 decimals"));
        }
        Ok(Self { kind, value })
    }

    /// What was counted.
    pub fn kind(self) -> MetricKind {
        self.kind
    }

    /// How many.
    pub fn value(self) -> Decimal {
        self.value
    }
}

/// The schema of a decimal in an event: a JSON string.
pub(crate) struct DecimalText;

impl JsonSchema for DecimalText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$" })
    }
}

/// A decimal that is a plain JSON number in requests and answers.
///
/// Reading takes the shortest decimal that stands for the number, so what a person typed comes
/// through exactly up to 15 digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub Decimal);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let value = self.0.normalize();
        if value.scale() == 0
            && let Ok(whole) = i64::try_from(value)
        {
            return to.serialize_i64(whole);
        }
        // Through text: the nearest float to the decimal, which prints as that decimal again.
        to.serialize_f64(value.to_string().parse().map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value.into()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Decimal::from_str_exact(&value.to_string())
                    .map(Number)
                    .map_err(|_| E::custom("must be a number of reasonable size"))
            }
        }

        from.deserialize_f64(Visitor)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::{CustomMetric, MetricKind, Number, Weight, WeightUnit};

    #[test]
    fn pounds_keep_their_value_and_know_their_exact_kilograms() {
        let weight = Weight::new(dec!(225.0), WeightUnit::Lb).unwrap();
        assert_eq!(
            serde_json::to_string(&weight).unwrap(),
            r#"{"value":"225","unit":"lb","kg":"102.05828325"}"#
        );
    }

    #[test]
    fn what_is_compared_ties_across_units() {
        let pounds = Weight::new(dec!(135), WeightUnit::Lb).unwrap();
        let exported = Weight::new(dec!(61.23492), WeightUnit::Kg).unwrap();
        assert_ne!(pounds.kg(), exported.kg());
        assert_eq!(pounds.comparable_kg(), exported.comparable_kg());
    }

    #[test]
    fn limits_hold_in_both_units() {
        assert!(Weight::new(dec!(1000), WeightUnit::Kg).is_ok());
        assert!(Weight::new(dec!(1000.1), WeightUnit::Kg).is_err());
        assert!(Weight::new(dec!(2204), WeightUnit::Lb).is_ok());
        assert!(Weight::new(dec!(2205), WeightUnit::Lb).is_err());
        assert!(Weight::new(dec!(-1), WeightUnit::Kg).is_err());
        assert!(Weight::new(dec!(1.1234567), WeightUnit::Kg).is_err());
    }

    #[test]
    fn floors_are_counted_exactly() {
        let floors = CustomMetric::new(MetricKind::Floors, dec!(42.50)).unwrap();
        assert_eq!(serde_json::to_string(&floors).unwrap(), r#"{"kind":"floors","value":"42.5"}"#);
        assert!(CustomMetric::new(MetricKind::Steps, dec!(1000000)).is_ok());
        for bad in [dec!(-1), dec!(1000000.1), dec!(0.0001)] {
            assert!(CustomMetric::new(MetricKind::Steps, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_come_through_as_typed() {
        for text in ["225", "61.23492", "0.1", "1.005", "102.05828325", "-3"] {
            let number: Number = serde_json::from_str(text).unwrap();
            assert_eq!(number.0.to_string(), text);
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
        assert!(serde_json::from_str::<Number>("1e300").is_err());
        assert!(serde_json::from_str::<Number>("1e-30").is_err());
        assert!(serde_json::from_str::<Number>("\"5\"").is_err());
    }
}

//! The rows of a read model, read and written by the set: one statement a table, however many
//! rows.
//!
//! Rows travel in Postgres' binary form. A replay hands new rows to `COPY`; everything else goes
//! through arrays that one statement unnests.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, NaiveDate, Utc};
use events::{AthleteId, Partition};
use sqlx::{
    AssertSqlSafe, Encode, FromRow, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgRow, PgTypeInfo},
};
use uuid::Uuid;

/// What starts and ends the binary form of `COPY`.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_END: &[u8] = &[0xff, 0xff];

/// `COPY` is sent in pieces of about this size, so that Postgres works while we encode.
const PIECE: usize = 256 * 1024;

/// A row of a table of a read model; made by [`row!`](crate::row).
pub trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {
    /// The table, in the model's schema.
    const TABLE: &'static str;

    /// Its columns; those of the primary key first, in its order.
    const COLUMNS: &'static [Column];

    /// How many columns the primary key has.
    const KEY: usize;

    /// Appends the columns, in their order.
    fn put(&self, fields: &mut Fields) -> Result<(), BoxDynError>;
}

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: fn() -> Kind,
}

/// A type of columns, and the type of arrays of it.
pub struct Kind {
    element: PgTypeInfo,
    array: PgTypeInfo,
}

impl Kind {
    fn of<T: Type<Postgres>>() -> Self
    where
        Vec<T>: Type<Postgres>,
    {
        Self { element: T::type_info(), array: <Vec<T>>::type_info() }
    }
}

/// What a column can hold.
pub trait Field: for<'q> Encode<'q, Postgres> {
    /// The type of such columns.
    fn kind() -> Kind;
}

/// The types of columns; each `null` or not.
macro_rules! fields {
    ($($of:ty),*) => {$(
        impl Field for $of {
            fn kind() -> Kind {
                Kind::of::<$of>()
            }
        }

        impl Field for Option<$of> {
            fn kind() -> Kind {
                Kind::of::<$of>()
            }
        }
    )*};
}

fields!(bool, i16, i32, i64, f64, String, Vec<u8>, Uuid, NaiveDate, DateTime<Utc>);

/// Declares the rows of a table: `row! { pub struct Set in "workout_sets" by 3 { … } }` has its
/// first three columns as primary key.
#[macro_export]
macro_rules! row {
    (
        $(#[$doc:meta])*
        $see:vis struct $name:ident in $table:literal by $key:literal {
            $($(#[$field_doc:meta])* $field_see:vis $field:ident: $of:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
        $see struct $name {
            $($(#[$field_doc])* $field_see $field: $of,)*
        }

        impl $crate::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [$crate::Column] = &[
                $($crate::Column { name: stringify!($field), kind: <$of as $crate::Field>::kind }),*
            ];
            const KEY: usize = $key;

            fn put(
                &self,
                fields: &mut $crate::Fields,
            ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
                $(fields.put(&self.$field)?;)*
                Ok(())
            }
        }
    };
}

/// Columns of rows in binary form, one row behind the other, as `COPY` takes them.
#[derive(Default)]
pub struct Fields {
    buffer: PgArgumentBuffer,
}

impl Fields {
    /// Appends a column.
    pub fn put(&mut self, value: &impl Field) -> Result<(), BoxDynError> {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&(-1_i32).to_be_bytes());
        if let IsNull::No = value.encode_by_ref(&mut self.buffer)? {
            let length = i32::try_from(self.buffer.len() - at - 4)?;
            self.buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn begin_row(&mut self, columns: usize) -> Result<(), BoxDynError> {
        self.buffer.extend_from_slice(&i16::try_from(columns)?.to_be_bytes());
        Ok(())
    }
}

/// The first columns of a primary key: all that it begins with is meant.
pub trait Key {
    /// How many columns.
    const COLUMNS: usize;

    /// Appends the columns, in their order.
    fn put(&self, fields: &mut Fields) -> Result<(), BoxDynError>;
}

macro_rules! keys {
    ($($count:literal: $($name:ident)*;)*) => {$(
        impl<$($name: Field),*> Key for ($($name,)*) {
            const COLUMNS: usize = $count;

            #[expect(non_snake_case, reason = "a variable for each type")]
            fn put(&self, fields: &mut Fields) -> Result<(), BoxDynError> {
                let ($($name,)*) = self;
                $(fields.put($name)?;)*
                Ok(())
            }
        }
    )*};
}

keys! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
}

/// The tables of one read model, within the transaction of a batch.
pub struct Tables<'a> {
    connection: &'a mut PgConnection,
    batch: &'a About,
}

/// What a batch is written under.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The name of the model.
    pub(crate) model: &'static str,
    /// Whether new rows may go in by `COPY`: many at a time, as in a replay.
    pub(crate) copies: bool,
    /// Whether what changes is news: not in a replay.
    pub(crate) tells: bool,
    /// The time at which the rows of each partition stand.
    pub(crate) as_of: Arc<BTreeMap<Partition, DateTime<Utc>>>,
}

/// A key of a model whose truth changed, for who announces such changes.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Whose.
    pub owner: AthleteId,
    /// Where they are.
    pub partition: Partition,
    /// Which of their truths.
    pub key: String,
    /// Whether all that changed it came out of another app.
    pub imported: bool,
    /// When the log took the newest event that changed it.
    pub recorded_at: DateTime<Utc>,
}

/// Which way from a key.
#[derive(Clone, Copy)]
enum Side {
    /// The nearest row at or before it.
    Floor,
    /// The nearest row at or after it.
    Ceiling,
    /// All rows at or before it.
    UpTo,
    /// All rows at or after it.
    Onwards,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(connection: &'a mut PgConnection, batch: &'a About) -> Self {
        Self { connection, batch }
    }

    /// The time at which the rows of a partition stand, in models whose rows age. Of a partition that
    /// the batch has nothing of, the beginning of time.
    pub fn as_of(&self, partition: Partition) -> DateTime<Utc> {
        self.batch.as_of.get(&partition).copied().unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Marks keys for who announces changes of them, in the transaction of the batch. A replay marks
    /// none, for what it builds is no news.
    pub async fn mark(&mut self, marks: Vec<Mark>) -> Result<(), sqlx::Error> {
        if !self.batch.tells || marks.is_empty() {
            return Ok(());
        }
        let owners: Vec<Uuid> = marks.iter().map(|mark| mark.owner.uuid()).collect();
        let keys: Vec<&str> = marks.iter().map(|mark| mark.key.as_str()).collect();
        let partitions: Vec<i16> = marks.iter().map(|mark| mark.partition.0).collect();
        let imported: Vec<bool> = marks.iter().map(|mark| mark.imported).collect();
        let recorded: Vec<DateTime<Utc>> = marks.iter().map(|mark| mark.recorded_at).collect();
        sqlx::query!(
            "insert into projector.marks as there
                 (model, owner, key, partition, imported, recorded_at)
             select $1, owner, key, partition, imported, recorded_at
             from unnest($2::uuid[], $3::text[], $4::smallint[], $5::boolean[], $6::timestamptz[])
                 as mark (owner, key, partition, imported, recorded_at)
             order by owner, key
             on conflict (model, owner, key) do update
             set imported = there.imported and excluded.imported,
                 recorded_at = greatest(there.recorded_at, excluded.recorded_at),
                 marked_at = clock_timestamp()",
            self.batch.model,
            &owners,
            &keys as &[&str],
            &partitions,
            &imported,
            &recorded,
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// The rows whose primary keys begin with these.
    pub async fn read<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<R>, sqlx::Error> {
        let arrays = arrays(keys, &R::COLUMNS[..K::COLUMNS], |key, fields| key.put(fields))?;
        if arrays.count == 0 {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select {} from \"{}\" t join (select {}) k on {}",
            listed(R::COLUMNS, |_, column| format!("t.\"{column}\"")),
            R::TABLE,
            arrays.unnested(),
            matched(&R::COLUMNS[..K::COLUMNS]),
        );
        let rows = arrays.bind(&sql).fetch_all(&mut *self.connection).await?;
        rows.iter().map(R::from_row).collect()
    }

    /// For each key, the last row whose primary key begins with all of it but its last column, and has
    /// there the same or less: an index probe each.
    pub async fn floor<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<R>, sqlx::Error> {
        self.beside(keys, Side::Floor).await
    }

    /// For each key, the first row whose primary key begins with all of it but its last column, and
    /// has there the same or more: an index probe each.
    pub async fn ceiling<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<R>, sqlx::Error> {
        self.beside(keys, Side::Ceiling).await
    }

    /// For each key, all rows whose primary keys begin with all of it but its last column, and have
    /// there the same or less.
    pub async fn up_to<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<R>, sqlx::Error> {
        self.beside(keys, Side::UpTo).await
    }

    /// For each key, all rows whose primary keys begin with all of it but its last column, and have
    /// there the same or more.
    pub async fn onwards<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<R>, sqlx::Error> {
        self.beside(keys, Side::Onwards).await
    }

    async fn beside<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        side: Side,
    ) -> Result<Vec<R>, sqlx::Error> {
        let columns = &R::COLUMNS[..K::COLUMNS];
        let arrays = arrays(keys, columns, |key, fields| key.put(fields))?;
        let [before @ .., last] = columns else { return Ok(Vec::new()) };
        if arrays.count == 0 {
            return Ok(Vec::new());
        }
        let rest = &R::COLUMNS[K::COLUMNS - 1..R::KEY];
        let order = |way: &str| listed(rest, |_, column| format!("r.\"{column}\" {way}"));
        let (than, order) = match side {
            Side::Floor => ("<=", format!("order by {} limit 1", order("desc"))),
            Side::Ceiling => (">=", format!("order by {} limit 1", order("asc"))),
            Side::UpTo => ("<=", String::new()),
            Side::Onwards => (">=", String::new()),
        };
        let mut matches: Vec<String> =
            before.iter().map(|c| format!("r.\"{0}\" = k.\"{0}\"", c.name)).collect();
        matches.push(format!("r.\"{0}\" {than} k.\"{0}\"", last.name));
        let sql = format!(
            "select {} from (select {}) k cross join lateral (
                 select r.* from \"{}\" r where {} {order}
             ) t",
            listed(R::COLUMNS, |_, column| format!("t.\"{column}\"")),
            arrays.unnested(),
            R::TABLE,
            matches.join(" and "),
        );
        let rows = arrays.bind(&sql).fetch_all(&mut *self.connection).await?;
        rows.iter().map(R::from_row).collect()
    }

    /// Adds rows that are not there: an event said so that comes once.
    pub async fn insert<R: Row>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), sqlx::Error> {
        if self.batch.copies {
            return self.copy(rows).await;
        }
        self.put(rows, false).await
    }

    /// Adds rows, or replaces those with the same key.
    pub async fn upsert<R: Row>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), sqlx::Error> {
        self.put(rows, true).await
    }

    /// Deletes the rows whose primary keys begin with these.
    pub async fn delete<R: Row, K: Key>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), sqlx::Error> {
        let arrays = arrays(keys, &R::COLUMNS[..K::COLUMNS], |key, fields| key.put(fields))?;
        if arrays.count == 0 {
            return Ok(());
        }
        let sql = format!(
            "delete from \"{}\" t using (select {}) k where {}",
            R::TABLE,
            arrays.unnested(),
            matched(&R::COLUMNS[..K::COLUMNS]),
        );
        arrays.bind(&sql).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn put<R: Row>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        replace: bool,
    ) -> Result<(), sqlx::Error> {
        let arrays = arrays(rows, R::COLUMNS, |row, fields| row.put(fields))?;
        if arrays.count == 0 {
            return Ok(());
        }
        let mut sql = format!(
            "insert into \"{}\" ({}) select {}",
            R::TABLE,
            listed(R::COLUMNS, |_, column| format!("\"{column}\"")),
            arrays.unnested(),
        );
        if replace {
            let (key, rest) = R::COLUMNS.split_at(R::KEY);
            sql += &format!(" on conflict ({})", listed(key, |_, name| format!("\"{name}\"")));
            sql += &match rest {
                [] => " do nothing".to_owned(),
                rest => format!(
                    " do update set {}",
                    listed(rest, |_, name| format!("\"{name}\" = excluded.\"{name}\""))
                ),
            };
        }
        arrays.bind(&sql).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn copy<R: Row>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<(), sqlx::Error> {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let columns = listed(R::COLUMNS, |_, column| format!("\"{column}\""));
        let sql = format!("copy \"{}\" ({columns}) from stdin (format binary)", R::TABLE);
        let mut copy = self.connection.copy_in_raw(&sql).await?;
        let mut fields = Fields::default();
        fields.buffer.extend_from_slice(COPY_HEAD);
        for row in rows {
            let put = fields.begin_row(R::COLUMNS.len()).and_then(|()| row.put(&mut fields));
            if let Err(error) = put {
                copy.abort("a row cannot be encoded").await?;
                return Err(sqlx::Error::Encode(error));
            }
            if fields.buffer.len() > PIECE {
                copy.send(fields.buffer.as_slice()).await?;
                fields.buffer.clear();
            }
        }
        fields.buffer.extend_from_slice(COPY_END);
        copy.send(fields.buffer.as_slice()).await?;
        copy.finish().await?;
        Ok(())
    }
}

/// What of a list of columns makes a list of a statement.
fn listed(columns: &[Column], what: impl Fn(usize, &str) -> String) -> String {
    let all: Vec<String> =
        columns.iter().enumerate().map(|(index, column)| what(index + 1, column.name)).collect();
    all.join(", ")
}

fn matched(columns: &[Column]) -> String {
    let all: Vec<String> =
        columns.iter().map(|c| format!("t.\"{0}\" = k.\"{0}\"", c.name)).collect();
    all.join(" and ")
}

/// Rows by column, each an array of a statement.
struct Arrays<'a> {
    columns: &'a [Column],
    arrays: Vec<Array>,
    count: usize,
}

impl Arrays<'_> {
    /// Unnested side by side in the select list: in `from`, each would first be written to a store
    /// of its own.
    fn unnested(&self) -> String {
        listed(self.columns, |index, column| format!("unnest(${index}) as \"{column}\""))
    }

    fn bind(self, sql: &str) -> sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments> {
        // Made of the program's own text alone.
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        self.arrays.into_iter().fold(query, sqlx::query::Query::bind)
    }
}

fn arrays<'a, T>(
    items: impl IntoIterator<Item = T>,
    columns: &'a [Column],
    put: impl Fn(&T, &mut Fields) -> Result<(), BoxDynError>,
) -> Result<Arrays<'a>, sqlx::Error> {
    let mut fields = Fields::default();
    let mut count = 0;
    for item in items {
        put(&item, &mut fields).map_err(sqlx::Error::Encode)?;
        count += 1;
    }
    let mut arrays: Vec<Array> = columns.iter().map(|column| Array::new(column, count)).collect();
    let mut rest = fields.buffer.as_slice();
    for index in 0..count * columns.len() {
        let Some((length, _)) = rest.split_first_chunk() else { break };
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, after) = rest.split_at(4 + length);
        arrays[index % columns.len()].elements.extend_from_slice(field);
        rest = after;
    }
    Ok(Arrays { columns, arrays, count })
}

/// An array of a type that is known when the program runs.
struct Array {
    of: Kind,
    count: usize,
    /// Each with its length before it, as in a row.
    elements: Vec<u8>,
}

impl Array {
    fn new(column: &Column, count: usize) -> Self {
        Self { of: (column.kind)(), count, elements: Vec::new() }
    }
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, to: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let element = self.of.element.oid().ok_or("a type without a number")?;
        // Dimensions, whether there may be nulls, type, and of the dimension its length and first
        // index.
        to.extend_from_slice(&1_i32.to_be_bytes());
        to.extend_from_slice(&1_i32.to_be_bytes());
        to.extend_from_slice(&element.0.to_be_bytes());
        to.extend_from_slice(&i32::try_from(self.count)?.to_be_bytes());
        to.extend_from_slice(&1_i32.to_be_bytes());
        to.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.of.array.clone())
    }
}

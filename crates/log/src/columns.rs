//! What a plan inserts, column by column: arrays that one statement unnests.

use events::{Position, Stream, Version};
use uuid::Uuid;

use crate::{
    Keep,
    lane::{Plan, Request, Row},
};

/// The rows of a plan, column by column.
pub(crate) struct Columns<'a> {
    pub(crate) partition: Vec<i16>,
    pub(crate) position: Vec<i64>,
    pub(crate) owner: Vec<Uuid>,
    pub(crate) stream_kind: Vec<i16>,
    pub(crate) stream_id: Vec<Uuid>,
    pub(crate) version: Vec<i32>,
    pub(crate) name: Vec<&'a str>,
    pub(crate) type_version: Vec<i16>,
    pub(crate) client_id: Vec<Option<Uuid>>,
    pub(crate) fingerprint: Vec<Option<&'a [u8]>>,
    pub(crate) metadata: Vec<&'a str>,
    pub(crate) payload: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let rows = plan.taken.iter().map(|taken| taken.request.events()).sum();
        let mut columns = Self::for_rows(rows);
        for taken in &plan.taken {
            let mut position = taken.before;
            for write in &taken.request.writes {
                let mut version = write.expected;
                for row in &write.rows {
                    position = position.next();
                    version = version.next();
                    columns.push(&taken.request, write.stream, position, version, row);
                }
            }
        }
        columns
    }

    fn for_rows(rows: usize) -> Self {
        Self {
            partition: Vec::with_capacity(rows),
            position: Vec::with_capacity(rows),
            owner: Vec::with_capacity(rows),
            stream_kind: Vec::with_capacity(rows),
            stream_id: Vec::with_capacity(rows),
            version: Vec::with_capacity(rows),
            name: Vec::with_capacity(rows),
            type_version: Vec::with_capacity(rows),
            client_id: Vec::with_capacity(rows),
            fingerprint: Vec::with_capacity(rows),
            metadata: Vec::with_capacity(rows),
            payload: Vec::with_capacity(rows),
        }
    }

    fn push(
        &mut self,
        request: &Request,
        stream: Stream,
        position: Position,
        version: Version,
        row: &'a Row,
    ) {
        self.partition.push(request.partition.0);
        self.position.push(position.0);
        self.owner.push(request.owner.uuid());
        self.stream_kind.push(stream.kind.code());
        self.stream_id.push(stream.id);
        self.version.push(version.0);
        self.name.push(&row.name);
        self.type_version.push(row.type_version);
        self.client_id.push(row.client.and_then(|client| client.id));
        self.fingerprint.push(row.client.as_ref().map(|client| client.fingerprint.as_slice()));
        self.metadata.push(&row.metadata);
        self.payload.push(&row.payload);
    }
}

/// The answers that a plan keeps, column by column.
#[derive(Default)]
pub(crate) struct Answers<'a> {
    pub(crate) owner: Vec<Uuid>,
    pub(crate) actor: Vec<Uuid>,
    pub(crate) key: Vec<&'a [u8]>,
    pub(crate) said: Vec<&'a [u8]>,
    pub(crate) partition: Vec<i16>,
    pub(crate) position: Vec<i64>,
    pub(crate) answer: Vec<&'a [u8]>,
}

impl<'a> Answers<'a> {
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let mut all = Self::default();
        for taken in &plan.taken {
            let Some(Keep { key, answer }) = &taken.request.keep else { continue };
            all.owner.push(taken.request.owner.uuid());
            all.actor.push(key.actor);
            all.key.push(&key.key);
            all.said.push(&key.said);
            all.partition.push(taken.request.partition.0);
            all.position.push(taken.last.0);
            all.answer.push(answer);
        }
        all
    }
}

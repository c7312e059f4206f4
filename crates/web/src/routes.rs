//! Routes that can be counted and described: a router, and the list of what it answers.

use axum::{
    Extension, Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

use crate::{
    document::{Described, Operation},
    query::{Fields, FieldsOf},
};

/// A route, and what the document says of it.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with the names of what varies in braces.
    pub path: &'static str,
    /// The handler's path in the program.
    handler: &'static str,
    /// The text of the file that it is in.
    source: &'static str,
    describe: Vec<fn(&mut Operation<'_>)>,
}

impl Route {
    /// The name of the handler's module and its own.
    pub fn name(&self) -> (&'static str, &'static str) {
        let mut names = self.handler.rsplit("::");
        let own = names.next().unwrap_or_default();
        (names.find(|name| *name != "routes").unwrap_or_default(), own)
    }

    /// The doc comment of the handler.
    pub fn comment(&self) -> String {
        let head = format!("async fn {}", self.name().1);
        let begins =
            |line: &&str| line.strip_prefix(&head).is_some_and(|rest| rest.starts_with(['(', '<']));
        let lines: Vec<&str> = self.source.lines().collect();
        let at = lines.iter().position(begins).unwrap_or_default();
        let above = lines[..at].iter().rev().map_while(|line| line.strip_prefix("///"));
        let mut comment: Vec<&str> = above.map(str::trim).collect();
        comment.reverse();
        comment.join(" ")
    }

    /// Adds to an operation everything that is known of the route.
    pub fn describe(&self, operation: &mut Operation<'_>) {
        self.describe.iter().for_each(|describe| describe(operation));
    }
}

/// A router and its routes; a test holds them to the table of permissions.
pub struct Routes<S> {
    router: Router<S>,
    all: Vec<Route>,
    source: &'static str,
}

/// A method of [`Routes`] for each of HTTP.
macro_rules! methods {
    ($($name:ident = $method:ident,)*) => {$(
        #[doc = concat!("Answers `", stringify!($method), "` of a path.")]
        #[must_use]
        pub fn $name<H, T, A>(mut self, path: &'static str, handler: H) -> Self
        where
            H: Handler<T, S> + Described<A>,
            T: 'static,
        {
            let fields = Extension(FieldsOf(|| Fields(H::fields())));
            let handler = on(MethodFilter::$method, handler).layer(fields);
            self.router = self.router.route(path, handler);
            self.all.push(Route {
                method: Method::$method,
                path,
                handler: std::any::type_name::<H>(),
                source: self.source,
                describe: vec![H::describe],
            });
            self
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet; handlers are in a file of this text (`include_str!`), whose doc comments say in the
    /// document what a route does.
    pub fn of(source: &'static str) -> Self {
        Self { router: Router::new(), all: Vec::new(), source }
    }

    methods! { get = GET, post = POST, put = PUT, patch = PATCH, delete = DELETE, }

    /// Both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.all.extend(other.all);
        self
    }

    /// The same under a layer, which does what `describe` says of all of them.
    #[must_use]
    pub fn layer(
        mut self,
        layer: impl FnOnce(Router<S>) -> Router<S>,
        describe: fn(&mut Operation<'_>),
    ) -> Self {
        self.router = layer(self.router);
        self.all.iter_mut().for_each(|route| route.describe.push(describe));
        self
    }

    /// The last route may also fail so, which its types do not say.
    #[must_use]
    pub fn or(mut self, describe: fn(&mut Operation<'_>)) -> Self {
        if let Some(route) = self.all.last_mut() {
            route.describe.push(describe);
        }
        self
    }

    /// The router, and what it answers.
    pub fn into_parts(self) -> (Router<S>, Vec<Route>) {
        (self.router, self.all)
    }
}

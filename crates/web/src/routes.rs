//! Routes that can be counted: a router, and the list of what it answers.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

/// A router and its routes by method and path; a test holds the list to the table of permissions.
pub struct Routes<S> {
    router: Router<S>,
    all: Vec<(Method, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), all: Vec::new() }
    }
}

/// A method of [`Routes`] for each of HTTP.
macro_rules! methods {
    ($($name:ident = $method:ident,)*) => {$(
        #[doc = concat!("Answers `", stringify!($method), "` of a path.")]
        #[must_use]
        pub fn $name<H: Handler<T, S>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
            self.router = self.router.route(path, on(MethodFilter::$method, handler));
            self.all.push((Method::$method, path));
            self
        }
    )*};
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    methods! { get = GET, post = POST, put = PUT, patch = PATCH, delete = DELETE, }

    /// Both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.all.extend(other.all);
        self
    }

    /// The same under a layer.
    #[must_use]
    pub fn map(mut self, change: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = change(self.router);
        self
    }

    /// The router, and what it answers.
    pub fn into_parts(self) -> (Router<S>, Vec<(Method, &'static str)>) {
        (self.router, self.all)
    }
}

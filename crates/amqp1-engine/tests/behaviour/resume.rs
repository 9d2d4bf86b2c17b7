//! Links that outlive their endpoints.

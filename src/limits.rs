//! Every bound in one place, by module. Each has a refusal where it is reached and a test that reaches it.

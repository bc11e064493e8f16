"""A policy pack: `pulumi preview --policy-pack infra/policy` refuses a stack that breaks a rule."""

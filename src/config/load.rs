use super::*;
pub(super) fn load(
    _args: &ServerArgs,
    _env: Environment<'_>,
    _files: &dyn ReadFile,
) -> Result<Config, ConfigError> {
    Err(ConfigError::direct("not yet"))
}

//! Which configured registry holds what. Pure.

use super::config::RegistriesConfig;

use crate::oci::{Host, Repository};
use crate::registry::{ImageName, RegistryAccess};

/// The configured registries, numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    accesses: Vec<RegistryAccess>,
    default: Option<usize>,
    /// Paths with the registry that holds what is at or below them.
    paths: Vec<(Repository, usize)>,
}

/// Something that no configured registry is said to hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A release names a repository that nobody said a registry for.
    #[error("no registry is configured for the repository {repository}")]
    Repository {
        /// The repository.
        repository: Repository,
    },
    /// An extra image is at a host that is not among the configured registries.
    #[error("{image}: its registry is not among those configured")]
    Host {
        /// The image.
        image: ImageName,
    },
    /// An extra image lies outside the prefix that its registry is configured with.
    #[error("{image}: it is not below {prefix}")]
    Prefix {
        /// The image.
        image: ImageName,
        /// The prefix of the registry.
        prefix: Repository,
    },
}

impl Routes {
    /// Routes as a configuration file has them; `accesses` in the order default first.
    pub fn new(config: &RegistriesConfig) -> Self {
        let mut routes = Self::default();
        if let Some(access) = &config.default {
            routes.default = Some(routes.add(access));
        }
        for other in &config.others {
            let number = routes.add(&other.access);
            routes.paths.extend(other.repositories.iter().map(|path| (path.clone(), number)));
        }
        routes
    }

    fn add(&mut self, access: &RegistryAccess) -> usize {
        self.accesses.push(access.clone());
        self.accesses.len() - 1
    }

    /// The registries, by number.
    pub fn accesses(&self) -> &[RegistryAccess] {
        &self.accesses
    }

    /// The host of a registry.
    pub fn host(&self, registry: usize) -> Option<&Host> {
        self.accesses.get(registry).map(|access| &access.host)
    }

    /// The registry that holds a repository named by a release.
    ///
    /// # Errors
    /// [`RouteError::Repository`].
    pub fn of_repository(&self, repository: &Repository) -> Result<usize, RouteError> {
        let fits = |path: &Repository| {
            repository
                .as_str()
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let longest = self
            .paths
            .iter()
            .filter(|(path, _)| fits(path))
            .max_by_key(|(path, _)| path.as_str().len())
            .map(|(_, registry)| *registry);
        longest
            .or(self.default)
            .ok_or_else(|| RouteError::Repository { repository: repository.clone() })
    }

    /// The registry that holds an extra image, and the repository below that registry's prefix.
    ///
    /// # Errors
    /// [`RouteError::Host`] or [`RouteError::Prefix`].
    pub fn of_image(&self, image: &ImageName) -> Result<(usize, Repository), RouteError> {
        let mut outside = None;
        for (number, access) in self.accesses.iter().enumerate() {
            if access.host != image.host {
                continue;
            }
            let Some(prefix) = &access.prefix else {
                return Ok((number, image.repository.clone()));
            };
            let rest = image.repository.as_str().strip_prefix(prefix.as_str());
            let rest = rest.and_then(|rest| rest.strip_prefix('/')).map(str::parse);
            match rest {
                Some(Ok(repository)) => return Ok((number, repository)),
                _ => outside = Some(prefix.clone()),
            }
        }
        let image = image.clone();
        Err(match outside {
            Some(prefix) => RouteError::Prefix { image, prefix },
            None => RouteError::Host { image },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let text = r#"
            [default]
            host = "main.example"
            prefix = "mirrors"
            [[others]]
            repositories = ["acme/tools", "acme/tools/deep"]
            [others.access]
            host = "tools.example"
            [[others]]
            repositories = ["acme"]
            [others.access]
            host = "acme.example"
        "#;
        Routes::new(&toml::from_str(text).unwrap())
    }

    #[test]
    fn the_longest_path_decides_and_then_the_default() {
        let host = |repository: &str| {
            let routes = routes();
            let number = routes.of_repository(&repository.parse().unwrap()).unwrap();
            routes.host(number).unwrap().to_string()
        };
        assert_eq!(host("acme/tools"), "tools.example");
        assert_eq!(host("acme/tools/x"), "tools.example");
        assert_eq!(host("acme/toolsmith"), "acme.example", "paths end at a slash");
        assert_eq!(host("other/x"), "main.example");
        let none = Routes::new(&RegistriesConfig::default());
        let refused = none.of_repository(&"a".parse().unwrap());
        assert!(matches!(refused, Err(RouteError::Repository { .. })));
    }

    #[test]
    fn extra_images_come_from_configured_hosts_only() {
        let of = |image: &str| routes().of_image(&image.parse().unwrap());
        assert_eq!(of("tools.example/x:1").unwrap(), (1, "x".parse().unwrap()));
        assert_eq!(of("main.example/mirrors/x:1").unwrap(), (0, "x".parse().unwrap()));
        assert!(matches!(of("main.example/mirrorsx/y:1"), Err(RouteError::Prefix { .. })));
        assert!(matches!(of("evil.example/x:1"), Err(RouteError::Host { .. })));
    }
}

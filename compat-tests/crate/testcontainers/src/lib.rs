//! A stand-in for the container library that the tests of the `zookeeper-client` crate use:
//! the same names and calls, but a "container" is a local process of the server under test.
//!
//! What a test gives its image comes through as far as a process has it: the JVM flags in
//! `SERVER_JVMFLAGS`, the configuration file mounted at `/conf/zoo.cfg`, the folder mounted
//! at `/data`, and files below `/certs`.  Container port 2181 becomes a free local port.
//!
//! `ZABRA_COMPAT_SERVER` is the command line of the server (words split at spaces);
//! `ZABRA_COMPAT_PORTS` is `first-last`, the ports that may be used.

mod process;

pub use process::Container;

pub mod clients {
    //! Starts images.
    use crate::core::RunnableImage;
    use crate::images::generic::GenericImage;
    use crate::process::Container;

    #[derive(Debug, Default)]
    pub struct Cli;

    impl Cli {
        /// Starts the server and returns when it serves.
        pub fn run(&self, image: impl Into<RunnableImage<GenericImage>>) -> Container<'_, GenericImage> {
            Container::start_new(image.into())
        }
    }
}

pub mod core {
    //! Images with their settings, and what a running one offers.
    use std::time::Duration;

    pub use crate::process::{Container, LogStream};

    /// Every server is waited for with the four-letter word `srvr`, whatever is asked.
    #[derive(Clone, Debug, Default)]
    pub struct Healthcheck;

    impl Healthcheck {
        pub fn with_cmd<S>(self, _cmd: impl Iterator<Item = S>) -> Self {
            self
        }

        pub fn with_interval(self, _interval: Duration) -> Self {
            self
        }

        pub fn with_retries(self, _retries: u32) -> Self {
            self
        }
    }

    #[derive(Clone, Debug)]
    pub enum WaitFor {
        Healthcheck,
    }

    /// An image with what is set at the start.
    #[derive(Clone, Debug)]
    pub struct RunnableImage<I> {
        pub(crate) image: I,
        pub(crate) volumes: Vec<(String, String)>,
        pub(crate) network: Option<String>,
    }

    impl<I> From<I> for RunnableImage<I> {
        fn from(image: I) -> Self {
            Self { image, volumes: Vec::new(), network: None }
        }
    }

    impl<I> RunnableImage<I> {
        /// `(path here, path in the container)`.
        pub fn with_volume(mut self, volume: (impl Into<String>, impl Into<String>)) -> Self {
            self.volumes.push((volume.0.into(), volume.1.into()));
            self
        }

        pub fn with_network(mut self, network: impl Into<String>) -> Self {
            self.network = Some(network.into());
            self
        }
    }
}

pub mod images {
    pub mod generic {
        //! The one kind of image: a name and a tag.
        use crate::core::{Healthcheck, WaitFor};

        #[derive(Clone, Debug)]
        pub struct GenericImage {
            pub(crate) name: String,
            pub(crate) tag: String,
            pub(crate) env: Vec<(String, String)>,
        }

        impl GenericImage {
            pub fn new(name: impl Into<String>, tag: impl Into<String>) -> Self {
                Self { name: name.into(), tag: tag.into(), env: Vec::new() }
            }

            pub fn with_env_var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.env.push((name.into(), value.into()));
                self
            }

            pub fn with_healthcheck(self, _healthcheck: Healthcheck) -> Self {
                self
            }

            pub fn with_wait_for(self, _wait_for: WaitFor) -> Self {
                self
            }
        }
    }
}

//! The suite of all deployers.

use ultrai_deploy_testkit::conformance;

use crate::platform::Machine;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the count tells that nothing was left out")]
async fn it_conforms() {
    let cases = conformance::deployer(&Machine).await;
    println!("deployer conformance, local: {cases} cases");
    assert!(cases > 100, "only {cases} cases ran");
}

use crate::sandbox::Sandbox;

const SETTINGS: &str = "application = \"shop\"\nstore = \"s3://artifacts/releases\"\n\n[groups.dev]\nwith = \"store\"\n\n[groups.prod]\n\
                        bucket = \"prod-artifacts\"\n[groups.prod.codedeploy]\nrollback = []\n";

#[test]
fn every_value_is_shown_with_who_says_it() {
    let sandbox = Sandbox::shop();
    sandbox.write("longshore.toml", SETTINGS);
    let sandbox = sandbox.env("LONGSHORE_REGION", "eu-west-1").env("LONGSHORE_UPLOAD_TAGS", "team=web,tier=1");
    let sandbox = sandbox.env("LONGSHORE_SIGN_KEY", "untrusted comment: x").env("LONGSHORE_SIGN_PASSWORD", "hush");
    let sandbox = sandbox.env("LONGSHORE_INSECURE_REGISTRIES", "registry:5000").env("LONGSHORE_UPLOAD_PART_SIZE", "16");
    let flags = ["config", "--out", "/srv/out", "--application", "other", "--dotenv", "out.env", "--set", "copies=2"];
    let ran = sandbox.run(&flags).ok();
    assert!(!ran.stdout.contains("untrusted comment") && !ran.stdout.contains("hush"), "{}", ran.stdout);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn one_group_can_be_asked_for_and_programs_get_it_all() {
    let sandbox = Sandbox::shop();
    sandbox.write("longshore.toml", SETTINGS);
    let json = sandbox.run(&["config", "--group", "stg", "--output", "json"]).ok().json();
    assert_eq!(json["groups"].as_object().unwrap().keys().collect::<Vec<_>>(), ["stg"]);
    assert_eq!(
        json["groups"]["stg"][0],
        serde_json::json!({"key": "groups.stg.store", "value": "s3://artifacts/releases",
            "from": {"kind": "file", "file": "longshore.toml", "line": 2}, "variable": "LONGSHORE_STORE", "flag": "--to"})
    );
    assert_eq!(json["problems"], serde_json::json!([]));
}

#[test]
fn what_is_wrong_is_shown_beside_what_holds() {
    let sandbox = Sandbox::shop();
    sandbox.write("longshore.toml", "application = \"shop\"\nregon = \"eu-west-1\"\n");
    let json = sandbox.run(&["config", "--output", "json"]).exits(3).json();
    assert_eq!(json["settings"][0]["value"], "shop");
    assert_eq!(json["problems"][0]["code"], "LS421");
    let sandbox = sandbox.env("LONGSHORE_WITH", "ecs");
    sandbox.write("longshore.toml", "application = \"shop\"\n");
    let ran = sandbox.run(&["config"]).exits(2);
    assert!(ran.stdout.starts_with("application"), "{}", ran.stdout);
    assert_eq!(
        ran.stderr,
        "error[LS430]: must be `codedeploy` or `store`, found `ecs`\n --> $LONGSHORE_WITH:1:1\n  |\n1 | ecs\n  | ^^^\n\n\
         error: the environment has 1 error\n"
    );
}

#[test]
fn the_schema_is_the_one_of_the_documents() {
    let sandbox = Sandbox::shop();
    let schema = include_str!("../../../../docs/reference/longshore.schema.json");
    assert_eq!(sandbox.run(&["config", "--schema"]).ok().stdout, schema);
}

#[test]
fn a_store_in_the_settings_is_enough_for_every_command() {
    let sandbox = Sandbox::shop();
    let (all, prod) = (sandbox.outside("store"), sandbox.outside("prod"));
    let settings = format!(
        "application = \"shop\"\nstore = \"file://{}\"\n[groups.prod]\nstore = \"file://{}\"\n",
        all.display(),
        prod.display()
    );
    sandbox.write("longshore.toml", &settings);
    let commit = sandbox.commit();
    sandbox.run(&["build"]).ok();
    sandbox.run(&["push"]).ok();
    assert!(all.join(format!("shop/{commit}.zip")).is_file());
    sandbox.run(&["push", "--group", "prod"]).ok();
    assert!(prod.join("groups/shop/prod.json").is_file() && !all.join("groups").exists());
    sandbox.run(&["point", "--group", "prod", "--commit", &commit]).ok();
    let json = sandbox.run(&["status", "--group", "prod", "--output", "json"]).ok().json();
    assert_eq!(json["groups"][0]["pointer"]["commit"], commit.as_str());
    let told = sandbox.run(&["push", "--group", "dev", "--group", "prod"]).exits(2).stderr;
    let error = "error: groups `dev` and `prod` have different stores in longshore.toml\n\nhint: run the command once for each of them\n";
    assert_eq!(told, error);
    // The variable goes before the file, and the flag before both.
    let third = format!("file://{}", sandbox.outside("third").display());
    let sandbox = sandbox.env("LONGSHORE_STORE", "file:///nowhere");
    sandbox.run(&["push", "--group", "dev", "--group", "prod", "--to", &third]).ok();
    assert!(sandbox.outside("third").join("groups/shop/prod.json").is_file());
}

#[test]
fn a_flag_goes_before_the_variable_and_the_file_and_one_takes_both_back() {
    let sandbox = Sandbox::shop();
    sandbox.write(
        "longshore.toml",
        "application = \"shop\"\nstore = \"s3://aaa\"\nregion = \"eu-a\"\n[groups.prod]\nregion = \"eu-p\"\n",
    );
    let sandbox = sandbox.env("LONGSHORE_STORE", "s3://bbb").env("LONGSHORE_APPLICATION", "b");
    let told = |flags: &[&str]| {
        let json = sandbox.run(&[&["config", "--group", "prod", "--output", "json"], flags].concat()).ok().json();
        let rows = json["settings"].as_array().unwrap().iter().chain(json["groups"]["prod"].as_array().unwrap());
        let wanted = ["application", "store", "region", "groups.prod.store", "groups.prod.region"];
        let found = rows.filter(|row| wanted.contains(&row["key"].as_str().unwrap()));
        found.map(|row| row["value"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), ["b", "s3://bbb", "eu-a", "s3://bbb", "eu-p"]);
    let flags = ["--to", "s3://ccc", "--region", "eu-c", "--application", "c", "--set", "store=s3://ddd"];
    assert_eq!(told(&flags), ["c", "s3://ccc", "eu-c", "s3://ccc", "eu-c"]);
    let set = ["--set", "store=s3://ddd", "--set", "region=eu-d", "--set", "application=d"];
    assert_eq!(told(&set), ["d", "s3://ddd", "eu-d", "s3://ddd", "eu-d"]);
    assert_eq!(told(&["--set", "store=", "--set", "region=", "--set", "application="]), ["shop", "-", "-", "-", "-"]);
    // Not only `config` goes by it.
    let (one, other) = (sandbox.outside("one"), sandbox.outside("other"));
    sandbox.commit();
    sandbox.run(&["build"]).ok();
    let to = format!("store=file://{}", one.display());
    sandbox.run(&["push", "--application", "b", "--set", &to]).ok();
    assert!(one.join(format!("b/{}.zip", sandbox.head())).is_file());
    let to = format!("store=file://{}", other.display());
    sandbox.run(&["build", "--set", "application=d"]).ok();
    sandbox.run(&["push", "--set", "application=d", "--set", &to]).ok();
    assert!(other.join(format!("d/{}.zip", sandbox.head())).is_file());
}

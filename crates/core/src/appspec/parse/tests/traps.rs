//! What people really get wrong, one small file each, with what is made of it and what is said.

use super::report;

#[test]
fn mode_0644_without_quotes_means_0644() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 0644
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None 644

    warning[LS141]: permissions[0].mode: is read as 0644, but without quotes the AWS agent sets the mode 420
     --> appspec.yml:5:11
      |
    5 |     mode: 0644
      |           ^^^^
      |
      = help: write "0644"
    "#);
}

#[test]
fn mode_0755_without_quotes_means_0755() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 0755
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None 755

    warning[LS141]: permissions[0].mode: is read as 0755, but without quotes the AWS agent reads 493 and refuses it
     --> appspec.yml:5:11
      |
    5 |     mode: 0755
      |           ^^^^
      |
      = help: write "0755"
    "#);
}

#[test]
fn mode_755_and_quoted_0755_are_right() {
    let text = r#"version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 755
  - object: /srv/data
    mode: "0755"
"#;
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None 755
    /srv/data ** except [] files directories None:None 755
    ");
}

#[test]
fn a_mode_of_one_digit_is_for_others() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 7
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None 007

    warning[LS143]: permissions[0].mode: `7` means 007, which gives the owner nothing
     --> appspec.yml:5:11
      |
    5 |     mode: 7
      |           ^
      |
      = help: write all digits, for example "0700"
    "#);
}

#[test]
fn a_mode_with_setuid_is_remarked() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 4755
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None 4755

    warning[LS142]: permissions[0].mode: sets setuid: who runs the file gets its owner's rights; the AWS agent loses the bit when it also sets an owner
     --> appspec.yml:5:11
      |
    5 |     mode: 4755
      |           ^^^^
    ");
}

#[test]
fn a_mode_in_another_notation_is_refused() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    mode: 0o755
  - object: /srv/data
    mode: u+x
  - object: /srv/log
    mode: 00644
";
    insta::assert_snapshot!(report(text), @r#"
    refused

    error[LS140]: permissions[0].mode: must be one to four octal digits, found `0o755`
     --> appspec.yml:5:11
      |
    5 |     mode: 0o755
      |           ^^^^^
      |
      = help: write "0755"

    error[LS140]: permissions[1].mode: must be one to four octal digits, found `u+x`
     --> appspec.yml:7:11
      |
    7 |     mode: u+x
      |           ^^^
      |
      = help: write the mode as digits: 4 is read, 2 write, 1 execute, for example "0644"

    error[LS140]: permissions[2].mode: must be one to four octal digits, found `00644`
     --> appspec.yml:9:11
      |
    9 |     mode: 00644
      |           ^^^^^
      |
      = help: write "0644"
    "#);
}

#[test]
fn timeout_in_quotes_is_read() {
    let text = r#"version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: "300"
"#;
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 300s
    ");
}

#[test]
fn timeout_300s_is_read() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: 300s
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 300s

    warning[LS167]: hooks.AfterInstall[0].timeout: `300s` is read as 300: a timeout has no unit, it is in seconds
     --> appspec.yml:6:16
      |
    6 |       timeout: 300s
      |                ^^^^
      |
      = help: write 300
    ");
}

#[test]
fn timeout_5m_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: 5m
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS166]: hooks.AfterInstall[0].timeout: `5m` has a unit, and the AWS agent takes it for 5 seconds
     --> appspec.yml:6:16
      |
    6 |       timeout: 5m
      |                ^^
      |
      = help: write 300
    ");
}

#[test]
fn timeout_1_30_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: 1:30
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS166]: hooks.AfterInstall[0].timeout: `1:30` is 5400 seconds for YAML, which reads it in base 60
     --> appspec.yml:6:16
      |
    6 |       timeout: 1:30
      |                ^^^^
      |
      = help: write 90 if minutes and seconds are meant
    ");
}

#[test]
fn timeout_010_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: 010
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS166]: hooks.AfterInstall[0].timeout: `010` is 8 seconds for YAML, because of its leading zero, and 10 for people
     --> appspec.yml:6:16
      |
    6 |       timeout: 010
      |                ^^^
      |
      = help: write 10 if that is meant
    ");
}

#[test]
fn timeouts_that_are_none_are_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: a.sh
      timeout: 0
    - location: b.sh
      timeout: -1
    - location: c.sh
      timeout: abc
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS166]: hooks.AfterInstall[0].timeout: must be at least 1, found 0
     --> appspec.yml:6:16
      |
    6 |       timeout: 0
      |                ^
      |
      = help: write the seconds, or remove the line for 3600

    error[LS166]: hooks.AfterInstall[1].timeout: must be at least 1, found -1
     --> appspec.yml:8:16
      |
    8 |       timeout: -1
      |                ^^
      |
      = help: write the seconds, or remove the line for 3600

    error[LS166]: hooks.AfterInstall[2].timeout: must be a number of seconds, found `abc`
      --> appspec.yml:10:16
       |
    10 |       timeout: abc
       |                ^^^
       |
       = help: write the seconds, for example 300
    ");
}

#[test]
fn a_timeout_above_an_hour_is_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      timeout: 99999
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 99999s

    warning[LS168]: hooks.AfterInstall[0].timeout: CodeDeploy ends a lifecycle event after 3600 seconds, found 99999
     --> appspec.yml:6:16
      |
    6 |       timeout: 99999
      |                ^^^^^
      |
      = help: split the work over several events, or let it go on in the background and check it in ValidateService
    ");
}

#[test]
fn timeouts_of_one_event_that_add_up_to_more_than_an_hour_are_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: a.sh
      timeout: 3000
    - location: b.sh
      timeout: 900
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall a.sh 3000s
    AfterInstall b.sh 900s

    warning[LS168]: hooks.AfterInstall: the timeouts add up to 3900, and CodeDeploy ends an event after 3600 seconds
     --> appspec.yml:4:3
      |
    4 |   AfterInstall:
      |   ^^^^^^^^^^^^
      |
      = help: lower them, or spread the scripts over several events
    ");
}

#[test]
fn runas_may_be_a_number() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      runas: 1000
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 3600s as 1000
    ");
}

#[test]
fn runas_yes_and_no_are_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: a.sh
      runas: yes
    - location: b.sh
      runas: no
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS169]: hooks.AfterInstall[0].runas: must be a user, found `yes`, in which the AWS agent sees a user named `true`
     --> appspec.yml:6:14
      |
    6 |       runas: yes
      |              ^^^
      |
      = help: name the user, or remove the line to run as the user of the agent

    error[LS169]: hooks.AfterInstall[1].runas: must be a user, found `no`, in which the AWS agent sees a user named `false`
     --> appspec.yml:8:14
      |
    8 |       runas: no
      |              ^^
      |
      = help: name the user, or remove the line to run as the user of the agent
    ");
}

#[test]
fn an_empty_runas_is_none() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/up.sh
      runas: ''
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 3600s
    ");
}

#[test]
fn sudo_as_text_means_what_it_says() {
    let text = r#"version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: a.sh
      sudo: "false"
    - location: b.sh
      sudo: "true"
    - location: c.sh
      sudo: off
"#;
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    AfterInstall a.sh 3600s
    AfterInstall b.sh 3600s with sudo
    AfterInstall c.sh 3600s

    warning[LS171]: hooks.AfterInstall[0].sudo: the text "false" is read as false; the AWS agent takes any text for true
     --> appspec.yml:6:13
      |
    6 |       sudo: "false"
      |             ^^^^^^^
      |
      = help: write `sudo: false`, or remove the line
    "#);
}

#[test]
fn version_0_is_right() {
    let text = "\
version: 0
os: linux
";
    insta::assert_snapshot!(report(text), @"Linux, file exists: None");
}

#[test]
fn version_in_quotes_is_refused() {
    let text = r#"version: "0.0"
os: linux
"#;
    insta::assert_snapshot!(report(text), @r#"
    refused

    error[LS120]: version: must be the number 0.0, found the text "0.0": the quotes make it a text
     --> appspec.yml:1:10
      |
    1 | version: "0.0"
      |          ^^^^^
      |
      = help: write `version: 0.0`
    "#);
}

#[test]
fn version_with_a_dot_too_many_is_refused() {
    let text = "\
version: 0.0.
os: linux
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS120]: version: must be the number 0.0, found `0.0.`: the dot at its end is too much
     --> appspec.yml:1:10
      |
    1 | version: 0.0.
      |          ^^^^
      |
      = help: write `version: 0.0`
    ");
}

#[test]
fn empty_sections_are_fine() {
    let text = "\
version: 0.0
os: linux
files:
permissions: ~
hooks:
  BeforeInstall:
";
    insta::assert_snapshot!(report(text), @"Linux, file exists: None");
}

#[test]
fn type_and_except_may_be_single_values() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    type: file
    except: secret.env
    mode: 640
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except ["secret.env"] files None:None 640

    warning[LS109]: permissions[0].type: is read as a list of one; the AWS agent demands a list and fails
     --> appspec.yml:5:11
      |
    5 |     type: file
      |           ^^^^
      |
      = help: write `["file"]`

    warning[LS109]: permissions[0].except: is read as a list of one; the AWS agent demands a list and fails
     --> appspec.yml:6:13
      |
    6 |     except: secret.env
      |             ^^^^^^^^^^
      |
      = help: write `["secret.env"]`
    "#);
}

#[test]
fn a_hook_that_is_no_list_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    location: scripts/up.sh
    timeout: 60
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS108]: hooks.AfterInstall: must be a list, found a mapping
     --> appspec.yml:5:5
      |
    5 |     location: scripts/up.sh
      |     ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: put a `-` before `location` and indent the keys below it by two more
    ");
}

#[test]
fn a_script_that_is_no_mapping_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - scripts/up.sh
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS108]: hooks.AfterInstall[0]: must be a mapping, found a text
     --> appspec.yml:5:7
      |
    5 |     - scripts/up.sh
      |       ^^^^^^^^^^^^^
      |
      = help: write `location: scripts/up.sh`
    ");
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_places() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: a.sh
  AfterInstall:
    - location: b.sh
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS102]: the key `AfterInstall` stands twice in this mapping
     --> appspec.yml:6:3
      |
    4 |   AfterInstall:
      |   ------------ first here
    5 |     - location: a.sh
    6 |   AfterInstall:
      |   ^^^^^^^^^^^^
      |
      = help: keep one of the two; the AWS agent reads the last and drops the first without a word
    ");
}

#[test]
fn another_os_is_refused() {
    let text = "\
version: 0.0
os: ubuntu
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS121]: os: must be `linux` or `windows`, found `ubuntu`
     --> appspec.yml:2:5
      |
    2 | os: ubuntu
      |     ^^^^^^
      |
      = help: write `os: linux`
    ");
}

#[test]
fn spaces_before_a_colon_are_fine() {
    let text = "\
version : 0.0
os     : windows
";
    insta::assert_snapshot!(report(text), @"Windows, file exists: None");
}

#[test]
fn permission_with_wrong_indentation_is_explained() {
    let text = "\
version: 0.0
os: linux
permission:
    - object: /srv/shop
       owner: shop
";
    insta::assert_snapshot!(report(text), @"
    refused

    warning[LS110]: permission: has no effect
     --> appspec.yml:3:1
      |
    3 | permission:
      | ^^^^^^^^^^
      |
      = help: did you mean `permissions`?

    error[LS101]: `owner` is indented by 7 spaces, deeper than `object`, which has a value already
     --> appspec.yml:5:8
      |
    4 |     - object: /srv/shop
      |       ------ stands at 6 spaces
    5 |        owner: shop
      |        ^^^^^
      |
      = help: indent `owner` by 6 spaces, as `object`
    ");
}

#[test]
fn permission_without_s_has_no_effect() {
    let text = "\
version: 0.0
os: linux
permission:
  - object: /srv/shop
    owner: shop
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None

    warning[LS110]: permission: has no effect
     --> appspec.yml:3:1
      |
    3 | permission:
      | ^^^^^^^^^^
      |
      = help: did you mean `permissions`?
    ");
}

#[test]
fn hooks_at_two_indentations_are_explained() {
    let text = "\
version: 0.0
os: linux
hooks:
    BeforeInstall:
    - location: a.sh
  AfterInstall:
    - location: b.sh
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS101]: `AfterInstall` is indented by 2 spaces, but `BeforeInstall` below `hooks` by 4
     --> appspec.yml:6:3
      |
    4 |     BeforeInstall:
      |     ------------- stands at 4 spaces
    5 |     - location: a.sh
    6 |   AfterInstall:
      |   ^^^^^^^^^^^^
      |
      = help: give all keys below `hooks` the same indentation
    ");
}

#[test]
fn a_document_may_be_indented_as_a_whole() {
    let text = "  version: 0.0\n  os: linux\n  files:\n    - source: /\n      destination: /srv/shop\n";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> /srv/shop
    ");
}

#[test]
fn keys_that_nothing_reads_are_remarked() {
    let text = "\
version: 0.0
os: linux
files:
  - source: /
    destination: /srv/shop
    overwrite: purge
hooks:
  AfterInstall:
    - location: a.sh
      interpreter: bash
      timout: 5
      args: [x]
      owner: shop
branch_config: {}
ApplicationStart: []
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> /srv/shop
    AfterInstall a.sh 3600s

    warning[LS110]: files[0].overwrite: has no effect
     --> appspec.yml:6:5
      |
    6 |     overwrite: purge
      |     ^^^^^^^^^
      |
      = help: remove it; what happens to files that exist is said once, at the top: `file_exists_behavior: OVERWRITE`

    warning[LS110]: hooks.AfterInstall[0].interpreter: has no effect
      --> appspec.yml:10:7
       |
    10 |       interpreter: bash
       |       ^^^^^^^^^^^
       |
       = help: remove it; what is read here is `location`, `timeout`, `runas` and `sudo`

    warning[LS110]: hooks.AfterInstall[0].timout: has no effect
      --> appspec.yml:11:7
       |
    11 |       timout: 5
       |       ^^^^^^
       |
       = help: did you mean `timeout`?

    warning[LS110]: hooks.AfterInstall[0].args: has no effect
      --> appspec.yml:12:7
       |
    12 |       args: [x]
       |       ^^^^
       |
       = help: remove it; what is read here is `location`, `timeout`, `runas` and `sudo`

    warning[LS110]: hooks.AfterInstall[0].owner: has no effect
      --> appspec.yml:13:7
       |
    13 |       owner: shop
       |       ^^^^^
       |
       = help: `owner` belongs to `permissions`; move it there or remove it

    warning[LS110]: branch_config: has no effect
      --> appspec.yml:14:1
       |
    14 | branch_config: {}
       | ^^^^^^^^^^^^^
       |
       = help: remove it; what is read here is `version`, `os`, `files`, `permissions`, `hooks` and `file_exists_behavior`

    warning[LS110]: ApplicationStart: has no effect
      --> appspec.yml:15:1
       |
    15 | ApplicationStart: []
       | ^^^^^^^^^^^^^^^^
       |
       = help: indent it below `hooks:`: `ApplicationStart` is a lifecycle event
    ");
}

#[test]
fn a_variable_in_a_destination_stays_as_it_is() {
    let text = "\
version: 0.0
os: linux
files:
  - source: /
    destination: /srv/$APPLICATION_NAME
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> /srv/$APPLICATION_NAME

    warning[LS133]: files[0].destination: nothing expands variables here: `/srv/$APPLICATION_NAME` is taken as it stands
     --> appspec.yml:5:18
      |
    5 |     destination: /srv/$APPLICATION_NAME
      |                  ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write the path out, or let a hook script move the files
    ");
}

#[test]
fn a_relative_destination_is_remarked() {
    let text = "\
version: 0.0
os: linux
files:
  - source: /
    destination: srv/shop
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> srv/shop

    warning[LS132]: files[0].destination: `srv/shop` is relative, and the AWS agent starts from wherever it was started
     --> appspec.yml:5:18
      |
    5 |     destination: srv/shop
      |                  ^^^^^^^^
      |
      = help: write the full path, from `/` on
    ");
}

#[test]
fn a_home_folder_is_refused_as_destination() {
    let text = "\
version: 0.0
os: linux
files:
  - source: /
    destination: ~/shop
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS131]: files[0].destination: `~/shop`: nothing expands `~` reliably, the AWS agent does by half
     --> appspec.yml:5:18
      |
    5 |     destination: ~/shop
      |                  ^^^^^^
      |
      = help: write the home folder in full, for example `/home/ubuntu/app`
    ");
}

#[test]
fn a_source_with_a_star_is_remarked() {
    let text = "\
version: 0.0
os: linux
files:
  - source: dist/*.jar
    destination: /srv/shop
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    dist/*.jar -> /srv/shop

    warning[LS134]: files[0].source: `*` is an ordinary character here, so only a file named `dist/*.jar` fits
     --> appspec.yml:4:13
      |
    4 |   - source: dist/*.jar
      |             ^^^^^^^^^^
      |
      = help: name the folder: everything in it is copied
    ");
}

#[test]
fn the_same_files_twice_are_remarked() {
    let text = "\
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/shop
  - source: /app/
    destination: /srv/shop/
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    app -> /srv/shop
    app -> /srv/shop/

    warning[LS135]: files[1]: installs what an entry above installs to the same place, which the agent refuses
     --> appspec.yml:6:5
      |
    4 |   - source: app
      |     ----------- first here
    5 |     destination: /srv/shop
    6 |   - source: /app/
      |     ^^^^^^^^^^^^^
      |
      = help: remove one of the two
    ");
}

#[test]
fn source_may_be_a_dot() {
    let text = "\
version: 0.0
os: linux
files:
  - source: .
    destination: /srv/a
  - source: ./
    destination: /srv/b
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> /srv/a
    everything -> /srv/b
    ");
}

#[test]
fn a_source_outside_the_bundle_is_refused() {
    let text = "\
version: 0.0
os: linux
files:
  - source: ../../etc/passwd
    destination: /srv/shop
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS130]: files[0].source: `../../etc/passwd` leaves the bundle with `..`
     --> appspec.yml:4:13
      |
    4 |   - source: ../../etc/passwd
      |             ^^^^^^^^^^^^^^^^
      |
      = help: name a file or folder of the bundle; a leading `/` stands for the top of the bundle
    ");
}

#[test]
fn a_leading_slash_in_a_location_means_nothing() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: /scripts/up.sh
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 3600s
    ");
}

#[test]
fn a_location_outside_the_bundle_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: scripts/../../evil.sh
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS164]: hooks.AfterInstall[0].location: `scripts/../../evil.sh` leaves the bundle with `..`
     --> appspec.yml:5:17
      |
    5 |     - location: scripts/../../evil.sh
      |                 ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name a script of the bundle; a leading `/` stands for the top of the bundle
    ");
}

#[test]
fn a_location_with_arguments_is_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: sh ./up.sh
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall sh ./up.sh 3600s

    warning[LS165]: hooks.AfterInstall[0].location: `sh ./up.sh` is taken as one file name: a hook has no arguments
     --> appspec.yml:5:17
      |
    5 |     - location: sh ./up.sh
      |                 ^^^^^^^^^^
      |
      = help: name the script alone; if it needs arguments, let it call another script with them
    ");
}

#[test]
fn a_location_is_stripped() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: 'scripts/up.sh '
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall scripts/up.sh 3600s
    ");
}

#[test]
fn a_user_in_a_context_is_read() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    context: {user: system_u, type: httpd_sys_content_t}
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None Some("system_u") httpd_sys_content_t None

    warning[LS150]: permissions[0].context.user: `user` is used as the SELinux user; the AWS agent drops it and reads `name`
     --> appspec.yml:5:21
      |
    5 |     context: {user: system_u, type: httpd_sys_content_t}
      |                     ^^^^^^^^
      |
      = help: write `name` if the AWS agent is to read it too
    "#);
}

#[test]
fn a_context_with_name_and_user_says_which_counts() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    context: {name: system_u, user: staff_u, type: etc_t, role: object_r}
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    /srv/shop ** except [] files directories None:None Some("system_u") etc_t None

    warning[LS150]: permissions[0].context.user: `name` is used as the SELinux user, and `user` is not
     --> appspec.yml:5:37
      |
    5 |     context: {name: system_u, user: staff_u, type: etc_t, role: object_r}
      |                                     ^^^^^^^
      |
      = help: keep one of the two

    warning[LS110]: permissions[0].context.role: has no effect
     --> appspec.yml:5:59
      |
    5 |     context: {name: system_u, user: staff_u, type: etc_t, role: object_r}
      |                                                           ^^^^
      |
      = help: remove it; what is read here is `name`, `user`, `type` and `range`
    "#);
}

#[test]
fn a_context_with_a_bad_range_is_refused() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    context: {type: etc_t, range: s3-s0}
  - object: /b
    context: {range: s0}
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS149]: permissions[0].context.range: `s3-s0`: the sensitivity s3 is above s0
     --> appspec.yml:5:35
      |
    5 |     context: {type: etc_t, range: s3-s0}
      |                                   ^^^^^
      |
      = help: write it as in `s0-s3:c0.c5,c7`

    error[LS111]: permissions[1].context.type: is missing
     --> appspec.yml:7:14
      |
    7 |     context: {range: s0}
      |              ^^^^^^^^^^^
      |
      = help: name the SELinux type, for example `httpd_sys_content_t`
    ");
}

#[test]
fn an_acl_that_cannot_be_read_is_refused() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS148]: permissions[0].acls[0]: `user::rwx`: owner, group and others are set with `mode`
     --> appspec.yml:5:12
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |            ^^^^^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[1]: `mask:x:7`: `mask` and `other` have no name
     --> appspec.yml:5:25
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                         ^^^^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[2]: `u:a:rwz`: permissions are one digit from 0 to 7 or letters of `rwx-`, found `z`
     --> appspec.yml:5:37
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                                     ^^^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[3]: `d:d:a:7`: `default` stands twice
     --> appspec.yml:5:48
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                                                ^^^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[4]: `x:a:7`: `x` is none of `user`, `group`, `mask`, `other` and `default`
     --> appspec.yml:5:59
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                                                           ^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[5]: `a`: must have two to four parts between `:`
     --> appspec.yml:5:68
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                                                                    ^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`

    error[LS148]: permissions[0].acls[6]: `u:ops:8`: permissions are one digit from 0 to 7 or letters of `rwx-`, found `8`
     --> appspec.yml:5:73
      |
    5 |     acls: ['user::rwx', 'mask:x:7', 'u:a:rwz', 'd:d:a:7', 'x:a:7', 'a', 'u:ops:8']
      |                                                                         ^^^^^^^^^
      |
      = help: write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`
    ");
}

#[test]
fn an_object_of_a_slash_is_fine() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /
    owner: shop
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    / ** except [] files directories Some("shop"):None
    "#);
}

#[test]
fn an_object_with_a_star_is_remarked() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop/*.sh
    mode: 755
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    /srv/shop/*.sh ** except [] files directories None:None 755

    warning[LS134]: permissions[0].object: `*` is an ordinary character here, so only a file named `/srv/shop/*.sh` fits
     --> appspec.yml:4:13
      |
    4 |   - object: /srv/shop/*.sh
      |             ^^^^^^^^^^^^^^
      |
      = help: name the folder, `/srv/shop`, and put the name with `*` under `pattern`
    ");
}

#[test]
fn an_entry_that_changes_nothing_is_remarked() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    pattern: 'bin/*'
    type: []
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    /srv/shop bin/* except [] None:None

    warning[LS147]: permissions[0]: sets nothing: it has no owner, group, mode, acls or context
     --> appspec.yml:4:5
      |
    4 |   - object: /srv/shop
      |     ^^^^^^^^^^^^^^^^^
      |
      = help: add one of them, or remove the entry

    warning[LS147]: permissions[0].pattern: `bin/*` matches nothing: a pattern is compared with one name, which has no `/`
     --> appspec.yml:5:14
      |
    5 |     pattern: 'bin/*'
      |              ^^^^^^^
      |
      = help: name the deeper folder as the object of an entry of its own

    warning[LS147]: permissions[0].type: is an empty list, and so the entry matches nothing
     --> appspec.yml:6:11
      |
    6 |     type: []
      |           ^^
      |
      = help: remove the line to mean files and folders
    ");
}

#[test]
fn a_numeric_owner_is_remarked() {
    let text = "\
version: 0.0
os: linux
permissions:
  - object: /srv/shop
    owner: 1000
    group: shop:shop
";
    insta::assert_snapshot!(report(text), @"
    refused

    warning[LS145]: permissions[0].owner: `1000` is read as a number; the AWS agent takes names only
     --> appspec.yml:5:12
      |
    5 |     owner: 1000
      |            ^^^^
      |
      = help: write the name

    error[LS144]: permissions[0].group: `shop:shop` cannot be the name of a user or group
     --> appspec.yml:6:12
      |
    6 |     group: shop:shop
      |            ^^^^^^^^^
      |
      = help: write owner and group under their own keys
    ");
}

#[test]
fn crlf_is_fine() {
    let text = "version: 0.0\r\nos: linux\r\nfiles:\r\n  - source: /\r\n    destination: /srv/shop\r\n";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    everything -> /srv/shop
    ");
}

#[test]
fn a_byte_order_mark_is_remarked() {
    let text = "\u{feff}version: 0.0\nos: linux\n";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None

    warning[LS106]: the file begins with a byte order mark, over which the AWS agent stumbles
     --> appspec.yml:1:1
      |
    1 | version: 0.0
      | ^
      |
      = help: save the file as UTF-8 without BOM
    ");
}

#[test]
fn a_tab_is_explained() {
    let text = "version: 0.0\nos: linux\nhooks:\n\tAfterInstall:\n";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS101]: the line is indented with a tab, and YAML indents with spaces only
     --> appspec.yml:4:1
      |
    4 |     AfterInstall:
      | ^
      |
      = help: replace the tab by spaces
    ");
}

#[test]
fn a_second_document_is_remarked() {
    let text = "\
version: 0.0
os: linux
---
version: 1
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None

    warning[LS107]: a second YAML document begins here, and nobody reads it
     --> appspec.yml:3:1
      |
    3 | ---
      | ^^^
      |
      = help: remove it, or join the two
    ");
}

#[test]
fn a_misspelt_event_is_refused() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstal:
    - location: a.sh
  application_start:
    - location: b.sh
  validateservice:
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS160]: hooks.AfterInstal: `AfterInstal` is no lifecycle event, so its scripts would never run
     --> appspec.yml:4:3
      |
    4 |   AfterInstal:
      |   ^^^^^^^^^^^
      |
      = help: did you mean `AfterInstall`?

    error[LS160]: hooks.application_start: `application_start` is no lifecycle event, so its scripts would never run
     --> appspec.yml:6:3
      |
    6 |   application_start:
      |   ^^^^^^^^^^^^^^^^^
      |
      = help: did you mean `ApplicationStart`?

    error[LS160]: hooks.validateservice: `validateservice` is no lifecycle event, so its scripts would never run
     --> appspec.yml:8:3
      |
    8 |   validateservice:
      |   ^^^^^^^^^^^^^^^
      |
      = help: did you mean `ValidateService`?
    ");
}

#[test]
fn events_that_run_no_scripts_are_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  Install:
    - location: a.sh
  DownloadBundle:
    - location: b.sh
  AllowTraffic:
    - location: c.sh
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None

    warning[LS161]: hooks.Install: the agent does `Install` itself, and scripts never run there
     --> appspec.yml:4:3
      |
    4 |   Install:
      |   ^^^^^^^
      |
      = help: move them to `BeforeInstall` or `AfterInstall`

    warning[LS161]: hooks.DownloadBundle: the agent does `DownloadBundle` itself, and scripts never run there
     --> appspec.yml:6:3
      |
    6 |   DownloadBundle:
      |   ^^^^^^^^^^^^^^
      |
      = help: move them to `BeforeInstall` or `AfterInstall`

    warning[LS161]: hooks.AllowTraffic: CodeDeploy does `AllowTraffic` itself, and scripts never run there
     --> appspec.yml:8:3
      |
    8 |   AllowTraffic:
      |   ^^^^^^^^^^^^
      |
      = help: use the event before or after it, for example `BeforeAllowTraffic`
    ");
}

#[test]
fn an_event_of_ones_own_is_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  WarmCaches:
    - location: warm.sh
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    WarmCaches warm.sh 3600s

    warning[LS162]: hooks.WarmCaches: `WarmCaches` is an event of your own: it runs only where a deployment names it, and CodeDeploy refuses it at Install
     --> appspec.yml:4:3
      |
    4 |   WarmCaches:
      |   ^^^^^^^^^^
    ");
}

#[test]
fn a_name_that_can_be_no_event_is_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  before deploying:
    - location: a.sh
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None

    warning[LS163]: hooks.before deploying: `before deploying` is no lifecycle event, and its scripts never run
     --> appspec.yml:4:3
      |
    4 |   before deploying:
      |   ^^^^^^^^^^^^^^^^
      |
      = help: use the name of an event, for example `AfterInstall`; one of your own is written in PascalCase
    ");
}

#[test]
fn texts_that_yaml_reads_otherwise_are_remarked() {
    let text = "\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: 010
      runas: 0x1F
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: None
    AfterInstall 010 3600s as 0x1F

    warning[LS112]: hooks.AfterInstall[0].location: is read as the text `010`; without quotes the AWS agent reads `8`
     --> appspec.yml:5:17
      |
    5 |     - location: 010
      |                 ^^^
      |
      = help: write "010"

    warning[LS112]: hooks.AfterInstall[0].runas: is read as the text `0x1F`; without quotes the AWS agent reads `31`
     --> appspec.yml:6:14
      |
    6 |       runas: 0x1F
      |              ^^^^
      |
      = help: write "0x1F"
    "#);
}

#[test]
fn a_wrong_file_exists_behavior_is_refused() {
    let text = "\
version: 0.0
os: linux
file_exists_behavior: overwrite
";
    insta::assert_snapshot!(report(text), @"
    refused

    error[LS122]: file_exists_behavior: must be `DISALLOW`, `OVERWRITE` or `RETAIN`, found `overwrite`
     --> appspec.yml:3:23
      |
    3 | file_exists_behavior: overwrite
      |                       ^^^^^^^^^
      |
      = help: write `OVERWRITE`
    ");
}

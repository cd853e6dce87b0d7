"""What the old scripts' files say is understood in the many ways in which people write it."""

from __future__ import annotations

import pytest

from golabs_infra.errors import ConfigError

from .legacy_texts import PASSWORD, problems, read, values

SERVER = {"host": "db.dev", "port": "5433", "adminUser": "provisioner"}


@pytest.mark.parametrize(
    "conf",
    [
        "[tst]\nhost = localhost\n[dev]\nhost = db.dev\nport=5433\nuser = provisioner\n[prd]\nhost=db.prd\n",
        "[DEFAULT]\nport=5433\n[dev]\nhost = 'db.dev' ; the VM\nadmin_user=\"provisioner\"\n",
        "[env:dev]\nDB_HOST=db.dev\nDB_PORT=5433\nDB_USER=provisioner\n",
        "[development]\nhostname: db.dev\nport: 5433\nusername: provisioner\n",
        "DEV_DB_HOST=db.dev\nDEV_DB_PORT=5433\nDEV_DB_ADMIN_USER=provisioner\nPRD_DB_HOST=db.prd\n",
        "export DB_HOST_DEV='db.dev'\nexport DB_PORT_DEV=\"5433\"\nexport DB_USER_DEV=provisioner # old\nDB_HOST_TST=x\n",
        "DB_DEV_HOST=db.dev\nPGPORT=5433\nPGUSER=provisioner\nPGHOST=localhost\n",
        "dev.host=db.dev\ndev.port=5433\ndev.user=provisioner\nprd.host=db.prd\n",
        "dev_host: db.dev\ndev_port: 5433\ndev_admin_user: provisioner\n",
        "DB_HOST[dev]=db.dev\nDB_HOST[tst]=x\nDB_PORT=5433\nDB_ADMIN_USER=provisioner\n",
        "declare -A DB_HOST=([tst]=localhost [dev]=db.dev)\ndeclare -A DB_PORT\nDB_PORT[dev]=5433\n"
        'declare -A DB_USER=(\n  ["tst"]="postgres"  # a comment\n  ["dev"]="provisioner"\n)\n',
        'case "$ENV" in\n  tst) DB_HOST=localhost; DB_PORT=5432 ;;\n  dev)\n    DB_HOST=db.dev\n    DB_PORT=5433 ;;\n'
        '  *) echo "unknown: $ENV" >&2; exit 1 ;;\nesac\nDB_USER=provisioner\n',
        "case $1 in\n prd|production) HOST=db.prd;;\n dev | qua ) HOST=db.dev ;;\nesac\nPORT=5433\nADMIN=provisioner\n",
        'DB_HOST=localhost\nif [ "$ENV" = "dev" ]; then\n  DB_HOST=db.dev\nelse\n  DB_HOST=other\nfi\n'
        "DB_PORT=5433\nPOSTGRES_USER=provisioner\n",
        "| Env | Host | Port | User |\n| tst | localhost | 5432 | postgres |\n| dev | db.dev | 5433 | provisioner |\n",
        "tst|localhost|5432\ndev|db.dev|5433\nPGUSER=provisioner\n",
        "# env host port user\ntst localhost 5432 postgres\ndev  db.dev   5433 provisioner\n",
        "env|user|port|host\ndev|provisioner|5433|db.dev\n",
        "tst:localhost:5432\ndev:db.dev:5433\nPGUSER=provisioner\n",
        "DB_HOST=db.dev:5433\nDB_USER=provisioner\n",
        "DB_HOST=db.dev:5433\nDB_PORT=5433\nDB_USER=provisioner\nPORT=8080\nUSER=me\nSERVER=web\n",
        "environments:\n  dev:\n    host: db.dev:5433\n    user: provisioner\n",
        "environment,host,port,username\ndev,db.dev,5433,provisioner\n",
        "environments:\n  tst:\n    host: localhost\n  dev:\n    host: db.dev\n    port: 5433\n    user: provisioner\n",
        'DB_HOST=db\nDEV_HOST="${DB_HOST}.dev"\nDEV_PORT=${DEV_PORT:-5433}\n: "${DEV_SUPERUSER:=provisioner}"\n',
        "\ufeffDB_HOST=db.dev\r\nDB_PORT=5433\r\nSUPERUSER=provisioner\r\n",
        "DB_SERVER=db.${ENV}\nDATABASE_PORT=54\\\n33\nDB_ADMIN=prov'isio'\"ner\"\n",
    ],
)
def test_the_server_is_read_from_many_forms(conf: str) -> None:
    legacy = read(conf)
    assert values(legacy) == SERVER
    assert problems(legacy) == []


def test_every_value_tells_its_line() -> None:
    legacy = read("# a comment\n\nDB_HOST=x\n", "\nexport BILLING_APP_PASSWORD='a'\n")
    assert {path: (str(found.place), found.key) for path, found in legacy.values.items()} == {
        "host": ("environments.conf:3", "DB_HOST"),
        "passwords.billing.app": (".env.dev:2", "BILLING_APP_PASSWORD"),
    }


@pytest.mark.parametrize(
    "line",
    [
        "BILLING_MIGRATION_PASSWORD={}",
        "export BILLING_MIGRATION_PASS={}",
        "BILLING_MIGRATION_PWD={}",
        "BILLING_MIGRATION_USER_PASSWORD={}",
        "BILLING_MIGRATION_DEV_PASSWORD={}",
        "DEV_BILLING_MIGRATION_PASSWORD={}",
        "BILLING_DB_MIGRATION_PASSWORD={}",
        "DB_BILLING_MIGRATION_PASSWORD={}",
        "PASSWORD_BILLING_MIGRATION={}",
        "MIGRATION_PASSWORD_BILLING={}",
        "billing_migration_password={}",
        "billing.migration.password = {}",
        "billingMigrationPassword={}",
        "billing_migration_dev_user={}",
        "BILLING_MIGRATION_DEV_USER_PASSWORD={}",
        "[billing]\nmigration_password = '{}'",
        "PASSWORDS[billing_migration]={}",
        "BILLING_MIGRATION_PASSWORD= {}",
    ],
)
def test_a_services_password_has_many_names(line: str) -> None:
    legacy = read("", line.format(PASSWORD))
    assert values(legacy) == {"passwords.billing.migration": PASSWORD}
    assert legacy.services == ("billing",)
    assert legacy.missing_passwords == ("passwords.billing.app",)
    assert problems(legacy) == []


@pytest.mark.parametrize(
    "key",
    [
        *("PGPASSWORD", "POSTGRES_PASSWORD", "DB_PASSWORD", "DB_ADMIN_PASSWORD", "ADMIN_PASS", "DATABASE_PASSWORD"),
        *("DB_SUPERUSER_PASSWORD", "DEV_DB_PASSWORD", "POSTGRES_ADMIN_PASSWORD", "ADMIN_DB_PWD"),
    ],
)
def test_the_admins_password_has_many_names(key: str) -> None:
    assert values(read("", f"{key}='{PASSWORD}'")) == {"adminPassword": PASSWORD}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("p#w1", "p#w1"),
        ("pw # old", "pw"),
        ("'a b#c$d'", "a b#c$d"),
        (r'"a\$b\"c\d"', r'a$b"c\d'),
        (r"a\ b\#", "a b#"),
        ("'it'\\''s'", "it's"),
        ("'a'\"b\"c", "abc"),
        ("a$", "a$"),
        ("a!b*?[x]", "a!b*?[x]"),
        (r"$'tab\there'", "tab\there"),
        ("a=b", "a=b"),
        ("pw;", "pw"),
    ],
)
def test_a_password_is_read_as_bash_reads_it(written: str, meant: str) -> None:
    assert values(read("", f"BILLING_APP_PASSWORD={written}\n")) == {"passwords.billing.app": meant}


def test_lines_of_other_environments_are_counted_and_passed_over() -> None:
    legacy = read(
        "TST_DB_HOST=a\nDEV_DB_HOST=b\nPRODUCTION_DB_HOST=c\nDB_HOST_QUA=d\n",
        "PRD_BILLING_APP_PASSWORD=x\nbilling_app_tst_user=y\nBILLING_APP_PASSWORD=z\n",
    )
    assert values(legacy) == {"host": "b", "passwords.billing.app": "z"}
    assert legacy.elsewhere == 5
    assert problems(legacy) == []


@pytest.mark.parametrize("conf", ["DB_HOST=a\nDEV_DB_HOST=b\n", "DEV_DB_HOST=b\nDB_HOST=a\n"])
def test_the_environments_own_value_comes_before_the_one_for_all(conf: str) -> None:
    assert values(read(conf)) == {"host": "b"}


def test_a_key_that_is_given_twice_has_the_last_value_and_that_is_told() -> None:
    legacy = read("DB_HOST=a\nDB_PORT=1\nDB_HOST=b\nDB_PORT=1\n")
    assert values(legacy) == {"host": "b", "port": "1"}
    assert legacy.notes == ("environments.conf:3: DB_HOST was set in line 1 already; the last one holds",)


def test_two_names_for_one_thing_must_agree() -> None:
    assert values(read("DEV_DB_HOST=a\nDEV_PGHOST=a\n")) == {"host": "a"}
    with pytest.raises(ConfigError) as caught:
        read("DEV_DB_HOST=a\n", f"PGHOST=b\nPGPASSWORD=x{PASSWORD}\nDB_PASSWORD=y{PASSWORD}\n")
    text = str(caught.value)
    assert "environments.conf:1 (DEV_DB_HOST), .env.dev:1 (PGHOST)" in text
    assert ".env.dev:2 (PGPASSWORD), .env.dev:3 (DB_PASSWORD)" in text
    assert PASSWORD not in text


@pytest.mark.parametrize("line", ["DB_NAME=golabs", "DEV_DB_NAME=go-labs-develop", "PGDATABASE=GoLabs"])
def test_another_database_is_an_error_that_explains(line: str) -> None:
    with pytest.raises(ConfigError, match=r"here dev's is always 'go-labs-dev'\n.*RENAME TO \"go-labs-dev\""):
        read(line)


@pytest.mark.parametrize("line", ["DB_NAME=go-labs-dev", 'DB_NAME="go-labs-${ENV}"', "DATABASE=go-labs-$ENVIRONMENT"])
def test_the_databases_own_name_is_understood(line: str) -> None:
    legacy = read(line)
    assert [(fact.path, fact.value) for fact in legacy.facts] == [("database", "go-labs-dev")]
    assert problems(legacy) == []


def test_users_must_have_our_names() -> None:
    own = "BILLING_APP_USER=billing_app_dev_user\nbilling_migration_dev_user=billing_migration_dev_user\n"
    assert [fact.value for fact in read("", own).facts] == ["billing_app_dev_user", "billing_migration_dev_user"]
    with pytest.raises(ConfigError, match=r"\.env\.dev:1: BILLING_APP_USER: the user is not called 'billing_app_dev"):
        read("SERVICES=billing\n", "BILLING_APP_USER=svc_billing\n")
    assert problems(read("", "SMTP_APP_USER=mailer\n")) == [".env.dev:1: SMTP_APP_USER: no service 'smtp' is known"]
    assert [fact.path for fact in read("BILLING_SCHEMA=billing", templates=("billing",)).facts] == ["service's schema"]


@pytest.mark.parametrize("mode", ["disable", "require", "verify-ca", "verify-full"])
def test_our_modes_of_tls_are_taken(mode: str) -> None:
    assert values(read(f"PGSSLMODE={mode}")) == values(read(f"[dev]\nsslmode = {mode}\n")) == {"sslMode": mode}


@pytest.mark.parametrize(("mode", "reason"), [("prefer", "'prefer' does without"), ("on", "no mode of PostgreSQL's")])
def test_other_modes_of_tls_are_told(mode: str, reason: str) -> None:
    legacy = read(f"DB_SSLMODE={mode}")
    assert values(legacy) == {}
    assert reason in problems(legacy)[0]


@pytest.mark.parametrize(
    "conf",
    [
        *('SERVICES="billing order_desk"', "SERVICES=(billing order_desk)", "SERVICES=billing:order_desk"),
        *("SERVICES='billing|order_desk'", 'SERVICES=\'["billing","order_desk"]\'', "services: [billing, order_desk]"),
        *(
            'SERVICES: ["billing", "order_desk"]',
            "services = ['billing','order_desk']",
            "SERVICES='billing;order_desk'",
        ),
        "[default]\nservices = billing, order_desk\n",
        "SERVICES:\n  - billing\n  # a comment\n  - order_desk # new\n",
        'environments:\n  dev:\n    services:\n    - "billing"\n    - order_desk\n',
    ],
)
def test_services_come_from_lists_and_templates_and_no_password_makes_one_up(conf: str) -> None:
    legacy = read(conf, "ORDER_DESK_APP_PASSWORD=a\nSMTP_APP_PASSWORD=b\n", templates=("catalog",))
    assert legacy.services == ("billing", "catalog", "order_desk")
    assert list(values(legacy)) == ["passwords.order_desk.app"]
    assert problems(legacy) == [".env.dev:2: SMTP_APP_PASSWORD: no service 'smtp' in SERVICES or templates"]


def test_a_service_that_only_a_password_names_is_told() -> None:
    legacy = read("", "SMTP_APP_PASSWORD=b\n")
    assert legacy.services == ("smtp",)
    told = ".env.dev:1: SMTP_APP_PASSWORD: 'smtp' is taken for a service because of this line only"
    assert legacy.notes == (told,)
    assert "is a reserved name" in problems(read("", "PUBLIC_APP_PASSWORD=b\n"))[0]


def test_names_that_no_service_can_have_are_told_with_their_line() -> None:
    legacy = read("\nSERVICES='billing Order-Desk public a$b'\n")
    assert legacy.services == ("billing",)
    assert problems(legacy) == ["environments.conf:2: SERVICES: no service can be called 'Order-Desk', 'public', ..."]


@pytest.mark.parametrize(
    "service", ["billing_app_dev_user", "[users] billing_app_dev_user", "USERS[billing_app_dev_user]"]
)
def test_a_users_own_name_holds_its_password_in_any_section(service: str) -> None:
    above, _, key = service.rpartition("] ")
    legacy = read("", f"{above}{']' if above else ''}\n{key}={PASSWORD}\n")
    assert values(legacy) == {"passwords.billing.app": PASSWORD}


def test_a_service_may_have_app_in_its_name() -> None:
    legacy = read("SERVICES='app_store app'", "APP_STORE_APP_PASSWORD=a\nAPP_STORE_MIGRATION_PASSWORD=b\n")
    assert {path for path in legacy.values if path.startswith("passwords.")} == {
        "passwords.app_store.app",
        "passwords.app_store.migration",
    }


def test_a_service_may_be_called_user() -> None:
    assert values(read("", "USER_APP_PASSWORD=a\n")) == {"passwords.user.app": "a"}


def test_variables_of_the_first_file_are_known_in_the_second() -> None:
    legacy = read("SUFFIX=-2019\n", 'BILLING_APP_PASSWORD="secret$SUFFIX"\n')
    assert values(legacy) == {"passwords.billing.app": "secret-2019"}
    assert problems(legacy) == ["environments.conf:1: SUFFIX: no key that is known here"]


def test_an_environment_with_a_hyphen_is_found_in_keys() -> None:
    legacy = read("DEV_EU_DB_HOST=a\n[dev-eu]\nport=1\n[dev]\nport=2\n", environment="dev-eu")
    assert values(legacy) == {"host": "a", "port": "1"}


def test_a_readonly_variable_keeps_its_first_value() -> None:
    legacy = read("readonly DB_HOST=a\nDB_HOST=b\n")
    assert values(legacy) == {}
    assert "it is readonly" in problems(legacy)[0]


def test_what_follows_an_exit_is_not_read() -> None:
    assert values(read("DB_HOST=a\nexit 0\nDB_HOST=b\n")) == {"host": "a"}


def test_a_here_document_sets_nothing() -> None:
    assert values(read("DB_HOST=a\ncat > x <<EOF\nDB_HOST=b\nEOF\nDB_PORT=1\n")) == {"host": "a", "port": "1"}


@pytest.mark.parametrize("host", ["db", "db_1.example.org", "10.0.0.1", "::1", "[::1]", "/var/run/postgresql"])
def test_hosts_of_all_shapes_are_taken(host: str) -> None:
    assert values(read(f"DB_HOST='{host}'\n")) == {"host": host.strip("[]")}


def test_a_port_may_stand_with_the_host_and_must_not_contradict() -> None:
    assert values(read("DB_HOST=[::1]:5433\nPGHOST=::1\n")) == {"host": "::1", "port": "5433"}
    with pytest.raises(ConfigError, match=r"environments.conf:1 \(DB_HOST\), environments.conf:2 \(DB_PORT\)"):
        read("DB_HOST=db:5433\nDB_PORT=5432\n")
    with pytest.raises(ConfigError, match="two lines say it differently"):
        read("DB_HOST=db:5433\nPGHOST=db:5432\n")


def test_the_environments_own_file_wins_for_passwords_too() -> None:
    legacy = read("BILLING_APP_PASSWORD=a\nBILLING_MIGRATION_PASSWORD=b\n", "BILLING_APP_PASSWORD=c\n")
    assert values(legacy) == {"passwords.billing.app": "c", "passwords.billing.migration": "b"}
    assert any("gives way to .env.dev:1" in note for note in legacy.notes)


def test_bare_names_count_only_where_no_name_is_the_databases() -> None:
    legacy = read("DB_PORT=5433\nPGPASSWORD=x\n", "SERVER_PORT=8080\nPASSWORD=y\nDEFAULT_PASSWORD=x\nUSER=me\n")
    assert values(legacy) == {"adminPassword": "x", "adminUser": "me", "port": "5433"}
    told = "is not taken, as another name says that it is about the database: environments.conf"
    assert legacy.notes == (f".env.dev:2: PASSWORD {told}:2", f".env.dev:1: SERVER_PORT {told}:1")
    assert values(read("DEV_PORT=8080\nDB_PORT=5433\nDEV_DB_PORT=5434\n")) == {"port": "5434"}
    assert values(read("DB_PORT=$(x)\nPORT=8080\n")) == {}
    assert values(read("DB_PORT=5433\n[dev]\nport=5434\n")) == {"port": "5434"}

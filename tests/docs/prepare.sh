# What the `before` comments of a page may call, in the page's own shell. The runner exports the PAGE_ variables.

# A PostgreSQL that is not the embedded one, empty, with a superuser: for psql, and by name for the configuration.
own_server() {
  export PGHOST="$PAGE_SERVER_HOST" PGPORT="$PAGE_SERVER_PORT" PGUSER="$PAGE_SERVER_USER"
  export PGPASSWORD="$PAGE_SERVER_PASSWORD" PGDATABASE=postgres ADMIN_PASSWORD="$PAGE_SERVER_PASSWORD"
}

# The Pulumi CLI and its plugins on PATH, as the installer puts them there, or no longer.
with_pulumi() {
  export PATH="$PAGE_PATH_WITH_PULUMI" PULUMI_HOME="$PAGE_PULUMI_HOME"
}
without_pulumi() {
  export PATH="$PAGE_PATH" PULUMI_HOME="$HOME/.pulumi"
}

# An environment on that server, by its own passphrase, with the admin's password encrypted in its file; nothing is provisioned.
environment_on_own_server() {
  own_server
  export PULUMI_CONFIG_PASSPHRASE="the page's own passphrase"
  sed -i "s/^config:$/&\n  golabs-infra:host: $PGHOST\n  golabs-infra:port: $PGPORT\n  golabs-infra:adminUser: $PGUSER/" "Pulumi.$1.yaml"
  printf '%s\n' "$ADMIN_PASSWORD" | golabs set-password "$1" --admin
}

# A folder of the old scripts' configuration, in which dev is that server.
legacy_folder() {
  mkdir -p "$1/config"
  cat >"$1/config/environments.conf" <<END
[dev]
HOST=$PGHOST
PORT=$PGPORT
ADMIN_USER=$PGUSER
END
  cat >"$1/config/.env.dev" <<END
POSTGRES_ADMIN_PASSWORD=$ADMIN_PASSWORD
BILLING_MIGRATION_PASSWORD=an-old-password
BILLING_APP_PASSWORD=another-old-one
END
}

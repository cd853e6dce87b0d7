# What stands for what only a reader has, in the page's own shell: all that a `before` comment may call. The page says in words
# what each of them gives; the words are in pages.py. The runner exports the PAGE_ variables.

# A PostgreSQL that is not the embedded one, empty, with a superuser.
own_server() {
  export PGHOST="$PAGE_SERVER_HOST" PGPORT="$PAGE_SERVER_PORT" PGUSER="$PAGE_SERVER_USER" PGPASSWORD="$PAGE_SERVER_PASSWORD"
}

# Says yes where plain pulumi asks.
answers_yes() {
  export PULUMI_SKIP_CONFIRMATIONS=true
}

# The folder of the old scripts' configuration, in which dev is a server of the reader's.
old_scripts() {
  mkdir -p old/config
  cat >old/config/environments.conf <<END
[dev]
HOST=$PAGE_SERVER_HOST
PORT=$PAGE_SERVER_PORT
ADMIN_USER=$PAGE_SERVER_USER
END
  cat >old/config/.env.dev <<END
POSTGRES_ADMIN_PASSWORD=$PAGE_SERVER_PASSWORD
BILLING_MIGRATION_PASSWORD=an-old-password
BILLING_APP_PASSWORD=another-old-one
END
}

# The Pulumi CLI and its plugins on PATH, as the installer puts them there, or no longer: the runner's own.
with_pulumi() {
  export PATH="$PAGE_PATH_WITH_PULUMI" PULUMI_HOME="$PAGE_PULUMI_HOME"
}
without_pulumi() {
  export PATH="$PAGE_PATH" PULUMI_HOME="$HOME/.pulumi"
}

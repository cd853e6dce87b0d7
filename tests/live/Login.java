import java.io.FileInputStream;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Properties;

/** Logs in with each properties file, and prints who it is then: first as the driver is used, then by Spring's names. */
public class Login {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            Properties read = new Properties();
            try (FileInputStream stream = new FileInputStream(file)) {
                read.load(stream);
            }
            show(DriverManager.getConnection(read.getProperty("url"), read));
            show(DriverManager.getConnection(
                    read.getProperty("spring.datasource.url"),
                    read.getProperty("spring.datasource.username"),
                    read.getProperty("spring.datasource.password")));
            if (read.getProperty("jdbcUrl") != null) {
                show(DriverManager.getConnection(read.getProperty("jdbcUrl")));
            }
        }
    }

    private static void show(Connection opened) throws Exception {
        try (Connection connection = opened;
                ResultSet result = connection.createStatement().executeQuery("SELECT current_user")) {
            result.next();
            System.out.println(result.getString(1));
        }
    }
}

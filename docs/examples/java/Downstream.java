import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A downstream service in Java: do something about each export that has ended. */
public class Downstream {
  private static final String KAFKA = setting("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
  private static final String TOPIC =
      setting("SLUICE_TOPIC_PREFIX", "export") + ".completions";
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int REMEMBERED = 1000;

  // What this process has handled; after a crash an event may come again all the same.
  private static final Set<String> handled = new LinkedHashSet<>();

  public static void main(String[] args) throws Exception {
    Map<String, Object> config =
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, KAFKA,
            ConsumerConfig.GROUP_ID_CONFIG, "mailer-java",
            ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed", // without aborted events
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    try (var consumer =
        new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer())) {
      var main = Thread.currentThread();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(consumer, main)));
      consumer.subscribe(List.of(TOPIC));
      while (true) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          handle(record); // if this throws, the event comes again
          var partition = new TopicPartition(record.topic(), record.partition());
          consumer.commitSync(Map.of(partition, new OffsetAndMetadata(record.offset() + 1)));
        }
      }
    } catch (WakeupException stopped) {
      // Closed: it has left the group, and others go on at once.
    }
  }

  private static void handle(ConsumerRecord<String, byte[]> record) throws Exception {
    String id = new String(record.headers().lastHeader("ce_id").value());
    if (handled.contains(id)) {
      return;
    }
    tell(JSON.readTree(record.value()));
    handled.add(id);
    if (handled.size() > REMEMBERED) {
      handled.remove(handled.iterator().next());
    }
  }

  private static void tell(JsonNode event) {
    String id = event.get("export_id").asText();
    String type = event.get("type").asText();
    if (type.equals("export.completed")) {
      String location = event.get("location").asText();
      System.out.println(id + ": " + event.get("rows").asLong() + " rows in " + location);
    } else {
      System.out.println(id + ": " + type + ", " + event.get("message").asText());
    }
  }

  /** On SIGINT or SIGTERM: the JVM ends when this returns. */
  private static void stop(KafkaConsumer<?, ?> consumer, Thread main) {
    consumer.wakeup();
    try {
      main.join();
    } catch (InterruptedException ignored) {
      Thread.currentThread().interrupt();
    }
  }

  private static String setting(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }
}

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** An upstream service in Java: ask for a file, then send its rows. */
public class Upstream {
  private static final String KAFKA = setting("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
  private static final String PREFIX = setting("SLUICE_TOPIC_PREFIX", "export");
  private static final ObjectMapper JSON = new ObjectMapper();

  private final KafkaProducer<String, byte[]> producer;
  private final String exportId = "orders-" + UUID.randomUUID().toString().substring(0, 8);

  private Upstream(KafkaProducer<String, byte[]> producer) {
    this.producer = producer;
  }

  public static void main(String[] args) throws Exception {
    // Idempotent, so a retry neither repeats nor reorders batches. The default partitioner chooses by
    // murmur2 of the key; all producers of the two topics must use one partitioner, so that a
    // request and its batches share a partition number.
    Map<String, Object> config =
        Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, KAFKA,
            ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
    try (var producer =
        new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
      new Upstream(producer).run();
    }
  }

  private void run() throws Exception {
    // The request first, acknowledged; then the batches in order.
    send(
        "requests",
        Map.of(
            "type", "export.requested",
            "format", "csv",
            "columns", List.of("id", Map.of("key", "amount", "header", "Amount (EUR)")),
            "user", "alice"));
    try {
      for (int seq = 0; seq < 10; seq++) {
        List<List<Object>> rows = new ArrayList<>();
        for (int n = 0; n < 100; n++) {
          rows.add(List.of(seq * 100 + n, "12.50"));
        }
        send("records", Map.of("seq", seq, "rows", rows));
      }
      send("records", Map.of("seq", 10, "rows", List.of(), "last", true, "total_rows", 1000));
    } catch (Exception error) {
      send("requests", Map.of("type", "export.cancel_requested"));
      throw error;
    }
    System.out.println(exportId + ": 1000 rows sent");
  }

  /** Returns when the message is acknowledged. */
  private void send(String topic, Map<String, Object> message) throws Exception {
    Map<String, Object> whole = new HashMap<>(message);
    whole.put("export_id", exportId);
    byte[] value = JSON.writeValueAsBytes(whole);
    producer.send(new ProducerRecord<>(PREFIX + "." + topic, exportId, value)).get();
  }

  private static String setting(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }
}

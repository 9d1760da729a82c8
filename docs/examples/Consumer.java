// Prints every event once, and says what is missing. Needs kafka-clients, lz4-java and jackson-databind on the class
// path: java -cp 'libs/*' Consumer.java; KAFKA and TOPIC say where.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.*;

public class Consumer {
    record Last(String epoch, long sequence) {}

    public static void main(String[] arguments) {
        var environment = System.getenv();
        var settings = new Properties();
        settings.put("bootstrap.servers", environment.getOrDefault("KAFKA", "localhost:9092"));
        settings.put("group.id", environment.getOrDefault("GROUP", "example-java"));
        settings.put("isolation.level", "read_committed");
        settings.put("auto.offset.reset", "earliest");
        var json = new ObjectMapper();
        var last = new HashMap<String, Last>();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(environment.getOrDefault("TOPIC", "agent-state-changed")));
            while (true) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    JsonNode event;
                    try {
                        event = json.readTree(record.value() == null ? new byte[0] : record.value());
                        if (!event.hasNonNull("sequence") || !event.hasNonNull("current")) throw new Exception("not ours");
                    } catch (Exception unreadable) {
                        System.out.printf("UNREADABLE %s[%d]@%d%n", record.topic(), record.partition(), record.offset());
                        continue;
                    }
                    var key = event.get("source").asText() + "/" + event.get("extension").asText();
                    var now = new Last(event.get("epoch").asText(), event.get("sequence").asLong());
                    var before = last.getOrDefault(key, new Last(now.epoch, 0));
                    int order = now.epoch.compareTo(before.epoch);
                    if (order < 0 || order == 0 && now.sequence <= before.sequence) continue; // a repeat
                    long expected = order == 0 ? before.sequence + 1 : 1;
                    if (now.sequence != expected) System.out.printf("MISSING %s %d to %d%n", key, expected, now.sequence - 1);
                    last.put(key, now);
                    var current = event.get("current");
                    System.out.printf("%s %s since %s%n", key, current.get("state").asText(), current.get("since").asText());
                }
            }
        }
    }
}

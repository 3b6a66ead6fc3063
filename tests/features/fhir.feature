Feature: FHIR servers speak Bulk Data Access
  Hospitals export patients' records by one open standard. A job names the server; the standard says the rest.

  Scenario: Everything the manifest lists lands under the name of its type
    Given a FHIR server with Bulk Data Access
    When a job lands its export
    Then the job is COMPLETED
    And these FHIR files are stored
      | Patient-1.ndjson                |
      | Patient-2.ndjson                |
      | Observation-1.ndjson            |
      | deleted/Bundle-1.ndjson         |
      | error/OperationOutcome-1.ndjson |
    And the export was deleted at the server

  Scenario: A backend service proves itself with a signed token
    Given a FHIR server with Bulk Data Access
    And the server knows the job's ES384 key and guards its files
    When a job lands its export
    Then the job is COMPLETED
    And every request but those for the token carried one

  Scenario: A token that expires while files move is renewed, and never kept
    Given a FHIR server with Bulk Data Access
    And the server knows the job's ES384 key and guards its files
    And the server's tokens have expired when the first file is asked for
    When a job lands its export
    Then the job is COMPLETED
    And a file was refused and had with another token
    And every request but those for the token carried one
    And no token and no key is in anything that was kept

  Scenario: A file with fewer rows than the server counted is rejected
    Given a FHIR server with Bulk Data Access
    And the server counts 9 rows in patient_file_2
    When a job lands its export
    Then the job is COMPLETED_WITH_FAILURES
    And Patient-2.ndjson is REJECTED because of DigestMismatchError

  Scenario: An export that is cancelled is deleted at the server
    Given a FHIR server with Bulk Data Access
    And the server's export never ends
    When a job of it is started and then stopped
    Then the job is CANCELLED
    And the export was deleted at the server
